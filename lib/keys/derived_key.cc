// Keys derived from what is to be done; see once/key.h. Their spelling is fixed: other programs
// derive the same keys on their own.
#include "base/error.h"
#include "model/sha256.h"
#include "once/key.h"

namespace once {
namespace {

constexpr std::size_t smith_digits = 16;
constexpr std::size_t content_digits = 32;

}  // namespace

Result<Key> smith_key(std::string_view run, std::string_view episode, std::string_view step) {
  if (run.empty()) {
    return fail(ErrorCode::invalid_argument,
                "the run of a smith key is empty; every run would get the same keys");
  }
  const auto digest = model::sha256({run, "::", episode, "::", step});
  return Key("idem_" + model::hex_prefix(digest, smith_digits));
}

Result<Key> content_key(std::string_view json, const std::vector<std::string>& exclude) {
  auto canonical = canonical_json(json, exclude);
  if (!canonical) return pass(canonical);
  return Key("operation:" + model::hex_prefix(model::sha256({*canonical}), content_digits));
}

}  // namespace once
