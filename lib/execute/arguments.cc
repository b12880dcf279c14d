// Keys from the arguments of a call.

#include "base/coding.h"
#include "model/sha256.h"
#include "once/idempotent.h"

namespace once {

Key key_of_arguments(std::string_view tenant, std::string_view name,
                     std::span<const WrittenArgument> arguments) {
  Bytes written;
  Writer out(written);
  for (const auto& [kind, bytes] : arguments) {
    out.u8(static_cast<std::uint8_t>(bytes ? kind : ArgumentKind::null));
    out.u64(bytes ? bytes->size() : 0);
    if (bytes) written += *bytes;
  }
  const std::string id = "args:" + model::hex_prefix(model::sha256({written}), 32);
  return {tenant, name, id};
}

}  // namespace once
