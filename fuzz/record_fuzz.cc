// Any bytes as a record: there is one encoding for each.
#include <cstddef>
#include <cstdint>

#include "check.h"
#include "model/record_codec.h"
#include "model/row_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  using namespace once::fuzz;
  const ByteView input = view(data, size);
  if (const auto record = model::decode_record(input)) {
    ONCE_CHECK(model::encode_record(*record) == input);
    ONCE_CHECK(record->retention >= Duration::zero());
    ONCE_CHECK(record->fields.size() <= max_question_fields);
    // Nothing but a finished record is ever swept.
    if (model::may_remove(input, Time::max())) ONCE_CHECK(is_finished(record->status));
  }
  return 0;
}
