#include "model/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <new>

namespace once::model {

Sha256 sha256(std::initializer_list<ByteView> parts) {
  Sha256 digest{};
  // One part is the common case and needs no context of ours.
  if (parts.size() == 1) {
    const ByteView part = *parts.begin();
    if (EVP_Digest(part.data(), part.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1) {
      throw std::bad_alloc();
    }
    return digest;
  }
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  bool good = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  for (const ByteView part : parts) {
    good = good && EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
  }
  if (!good || EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) {
    throw std::bad_alloc();
  }
  return digest;
}

std::string hex_prefix(const Sha256& digest, std::size_t digits) {
  constexpr char alphabet[] = "0123456789abcdef";
  std::string text(std::min(digits, 2 * digest.size()), '0');
  for (std::size_t i = 0; i < text.size(); ++i) {
    text[i] = alphabet[i % 2 == 0 ? digest[i / 2] >> 4 : digest[i / 2] & 0x0f];
  }
  return text;
}

}  // namespace once::model
