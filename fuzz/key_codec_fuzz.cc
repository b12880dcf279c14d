// Any bytes as the key of a row: there is one encoding for each key.
#include <cstddef>
#include <cstdint>

#include "check.h"
#include "model/key_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  using namespace once::fuzz;
  const ByteView input = view(data, size);
  if (const auto key = model::decode_key(input)) {
    ONCE_CHECK(key->validate().has_value());
    ONCE_CHECK(model::encode_key(*key) == input);
  }
  if (const auto at = model::decode_checkpoint_key(input)) {
    ONCE_CHECK(model::encode_checkpoint_key(at->key, at->name) == input);
    ONCE_CHECK(input.starts_with(model::encode_key(at->key)));
    ONCE_CHECK(!model::decode_key(input).has_value());
  }
  if (const auto sequence = model::decode_sequence(input)) {
    ONCE_CHECK(model::encode_sequence(*sequence) == input);
  }
  return 0;
}
