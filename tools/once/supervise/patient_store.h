// Opens a store that many share: each holds it for a moment, so that who finds it held waits.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "once/store.h"

namespace once::supervise {

// How long to wait for others to let go of a store. Generous, since each of them needs
// milliseconds: whoever does not get it in this time meets somebody who keeps it.
inline constexpr Duration open_patience = std::chrono::seconds(30);

// Opens for writing; where nothing is, makes a store in the layout `make`, or refuses if that is
// empty. Gives up early, with store_locked, when `give_up` says so.
// Errors: as Store::open().
[[nodiscard]] Result<Store> open_patiently(const std::string& where, std::optional<Layout> make,
                                           const std::function<bool()>& give_up);

}  // namespace once::supervise
