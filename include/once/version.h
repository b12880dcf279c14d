// The version of the library and of what it writes.
//
//   std::cout << "built against Once " << once::version << "\n";
#pragma once

#include <cstdint>
#include <string_view>

namespace once {

inline constexpr std::string_view version = "0.1.0";
// Stores with a higher format version are refused (ErrorCode::newer_format).
inline constexpr std::uint32_t store_format = 1;

}  // namespace once
