// Bytes: the type of everything Once stores without looking inside.
//
//   once::Bytes body = response.body();      // owns
//   once::ByteView part = body;              // does not own
//
// A std::string holds any octets, NUL and 0xFF included; nothing here assumes text.
#pragma once

#include <string>
#include <string_view>

namespace once {

using Bytes = std::string;
using ByteView = std::string_view;

}  // namespace once
