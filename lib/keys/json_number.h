// Numbers as RFC 8785, section 3.2.2.3, spells them: by ECMAScript's Number::toString.
#pragma once

#include <string>
#include <string_view>

namespace once::keys {

// The spelling of `number`, which is finite: the shortest digits that read back as the same double,
// plain from 1e-6 up to 1e21 and with an exponent elsewhere; -0 is "0".
[[nodiscard]] std::string spell_number(double number);

// Whether `literal`, a JSON integer without fraction and exponent that was read as `number`, is
// exactly that double. Beyond 2^53 not every integer is (RFC 7493, section 2.2).
[[nodiscard]] bool is_exact(std::string_view literal, double number);

}  // namespace once::keys
