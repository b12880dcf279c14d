// Any bytes as a checkpoint: there is one encoding for each, and none is ever swept by itself.
#include <cstddef>
#include <cstdint>

#include "check.h"
#include "model/checkpoint_codec.h"
#include "model/row_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  using namespace once::fuzz;
  const ByteView input = view(data, size);
  if (const auto checkpoint = model::decode_checkpoint("step", input)) {
    ONCE_CHECK(checkpoint->name == "step");
    ONCE_CHECK(model::encode_checkpoint(*checkpoint) == input);
    ONCE_CHECK(!model::may_remove(input, Time::max()));
  }
  return 0;
}
