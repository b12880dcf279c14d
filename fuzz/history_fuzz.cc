// Any bytes as a history entry: there is one encoding for each.
#include <cstddef>
#include <cstdint>

#include "check.h"
#include "model/history_codec.h"
#include "model/row_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace once;
  using namespace once::fuzz;
  const ByteView input = view(data, size);
  if (const auto entry = model::decode_history(7, input)) {
    ONCE_CHECK(entry->sequence == 7);
    ONCE_CHECK(entry->key.validate().has_value());
    model::RowHeader header;
    Reader in(input);
    ONCE_CHECK(model::read_header(in, header));
    ONCE_CHECK(model::encode_history(*entry, header.expires_at) == input);
  }
  return 0;
}
