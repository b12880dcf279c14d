// Writing to a standard stream all that there is, whatever kind of stream somebody gave us.
#pragma once

#include <functional>
#include <string_view>

namespace once::tool {

// Writes all of `bytes` to `fd`. Waits where it is full, also if it does not block: whoever shares
// it with us may have set O_NONBLOCK. Returns 0, or the errno of what failed: EPIPE when nobody
// reads it any more, EINTR when `give_up` said so, which is asked after every signal.
[[nodiscard]] int write_all(int fd, std::string_view bytes,
                            const std::function<bool()>& give_up = {});

}  // namespace once::tool
