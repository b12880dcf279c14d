// Checkpoints of workflows: whatever bytes stand there, decoding ends with an error or with what
// encodes to the same bytes. The first byte says which of the three it is.
#include <cstddef>
#include <cstdint>

#include "check.h"
#include "workflow/run_rows.h"

using namespace once;

namespace {

template <class Decode, class Encode>
void round_trip(ByteView data, Decode decode, Encode encode) {
  const auto row = decode(data);
  if (row) {
    ONCE_CHECK(encode(*row) == data);
  } else {
    const ErrorCode code = row.error().code;
    ONCE_CHECK(code == ErrorCode::damaged || code == ErrorCode::newer_format);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const ByteView data = once::fuzz::view(bytes + 1, size - 1);
  switch (bytes[0] % 3) {
    case 0:
      round_trip(data, workflow::decode_run, workflow::encode_run);
      break;
    case 1:
      round_trip(data, workflow::decode_node, workflow::encode_node);
      break;
    default:
      round_trip(data, workflow::decode_progress, workflow::encode_progress);
  }
  return 0;
}
