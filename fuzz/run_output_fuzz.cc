// Any bytes as what `once run` kept of a command: there is one encoding for each.
#include <cstddef>
#include <cstdint>

#include "../tools/once/run_output.h"
#include "check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  using namespace once::fuzz;
  const ByteView input = view(data, size);
  if (const auto output = tool::decode_run_output(input)) {
    ONCE_CHECK(tool::encode_run_output(*output) == input);
  } else {
    ONCE_CHECK(output.error().code == ErrorCode::damaged ||
               output.error().code == ErrorCode::newer_format);
  }
  return 0;
}
