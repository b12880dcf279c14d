// XXH3 (64 bits, https://github.com/Cyan4973/xxHash), the checksum of everything in a container. It
// is seeded with the store's id, so that bytes of another store never pass for this one's.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

namespace once::container {

[[nodiscard]] std::uint64_t digest_of(std::string_view bytes, std::uint64_t seed);

// The digest of bytes that come piece by piece. Movable; used by one thread.
class Digest {
 public:
  explicit Digest(std::uint64_t seed);
  void add(std::string_view bytes);
  // Of all so far; more may be added.
  [[nodiscard]] std::uint64_t value() const;

 private:
  struct Free {
    void operator()(void* state) const;
  };
  std::unique_ptr<void, Free> state_;
};

}  // namespace once::container
