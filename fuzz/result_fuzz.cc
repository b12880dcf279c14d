// Any bytes as an outcome: there is one encoding for each.
#include <cstddef>
#include <cstdint>

#include "check.h"
#include "model/result_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  using namespace once::fuzz;
  const ByteView input = view(data, size);
  if (const auto result = model::decode_result(input)) {
    ONCE_CHECK(model::encode_result(*result) == input);
    ONCE_CHECK(result->outcome.digest() == model::decode_result(input)->outcome.digest());
  }
  return 0;
}
