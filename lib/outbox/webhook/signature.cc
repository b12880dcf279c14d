#include "outbox/webhook/signature.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "outbox/cloud_event.h"

namespace once::outbox {

Result<Bytes> signing_key(const std::string& secret) {
  constexpr std::string_view prefix = "whsec_";
  if (!secret.starts_with(prefix)) return secret;
  const std::string_view text = std::string_view(secret).substr(prefix.size());
  Bytes key(text.size(), '\0');
  const int length = text.empty() || text.size() % 4 != 0
                         ? -1
                         : EVP_DecodeBlock(reinterpret_cast<unsigned char*>(key.data()),
                                           reinterpret_cast<const unsigned char*>(text.data()),
                                           static_cast<int>(text.size()));
  if (length < 0) {
    return fail(ErrorCode::invalid_argument,
                "the signing secret begins with whsec_, and what follows is not base64; copy it "
                "whole from where it was made");
  }
  // The decoder counts the bytes that the padding stands for.
  const auto padding =
      static_cast<std::size_t>(std::ranges::count(text.substr(text.size() - 2), '='));
  key.resize(static_cast<std::size_t>(length) - padding);
  return key;
}

std::string sign(const Bytes& key, std::string_view id, std::int64_t timestamp,
                 std::string_view body) {
  std::string signed_text = fmt::format("{}.{}.", id, timestamp);
  signed_text += body;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size(),
       digest.data(), &length);
  return "v1," + base64(ByteView(reinterpret_cast<const char*>(digest.data()), length));
}

}  // namespace once::outbox
