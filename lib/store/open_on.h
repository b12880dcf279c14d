// A Store on an engine that was opened elsewhere: for tests, which put simulated devices under it.
#pragma once

#include <memory>

#include "engine/engine.h"
#include "once/store.h"

namespace once {

// `options` are those that the engine was opened with.
[[nodiscard]] Store open_on(std::unique_ptr<engine::Engine> engine, const Options& options);

}  // namespace once
