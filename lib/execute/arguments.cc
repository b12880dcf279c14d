// Keys from the arguments of a call.

#include "base/coding.h"
#include "model/sha256.h"
#include "once/idempotent.h"

namespace once {

Key key_of_arguments(std::string_view tenant, std::string_view name,
                     std::span<const std::optional<Bytes>> arguments) {
  Bytes written;
  Writer out(written);
  for (const std::optional<Bytes>& argument : arguments) {
    out.u8(argument ? 1 : 0);
    out.u64(argument ? argument->size() : 0);
    if (argument) written += *argument;
  }
  const std::string id = "args:" + model::hex_prefix(model::sha256({written}), 32);
  return {tenant, name, id};
}

}  // namespace once
