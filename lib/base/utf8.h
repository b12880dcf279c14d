// Telling text from bytes: well-formed UTF-8 as RFC 3629 has it, without overlong forms and
// surrogates.
#pragma once

#include <cstddef>
#include <string_view>

#include "once/bytes.h"

namespace once {

// Length of the well-formed character that `bytes` begins with; 0 when there is none.
[[nodiscard]] std::size_t utf8_length(ByteView bytes);

// Whether all of `bytes` is well-formed. Nothing is.
[[nodiscard]] bool is_utf8(ByteView bytes);

// The first `most` bytes of `text`, or up to three less, so that no character of it is cut in two.
// What is no UTF-8 is cut anywhere.
[[nodiscard]] std::string_view cut_utf8(std::string_view text, std::size_t most);

}  // namespace once
