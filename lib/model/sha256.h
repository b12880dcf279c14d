// SHA-256 (FIPS 180-4) by OpenSSL: for fingerprints, digests of outcomes and derived keys.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "once/bytes.h"

namespace once::model {

using Sha256 = std::array<std::uint8_t, 32>;

// The digest of `parts` one after the other, as if they were one string; nothing is copied. Throws
// std::bad_alloc when OpenSSL has no memory, as every allocation does; there is no other failure.
[[nodiscard]] Sha256 sha256(std::initializer_list<ByteView> parts);

// The first `digits` hexadecimal digits of `digest` (at most 64), lower case.
[[nodiscard]] std::string hex_prefix(const Sha256& digest, std::size_t digits);

}  // namespace once::model
