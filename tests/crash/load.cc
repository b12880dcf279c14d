#include "load.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

namespace once::crash {
namespace {

std::uint64_t mix(std::uint64_t value) {
  // splitmix64 (S. Vigna).
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

std::size_t size_of(std::uint64_t random) {
  const std::uint64_t kind = random % 1000;
  const std::uint64_t rest = mix(random);
  if (kind < 200) return 0;
  if (kind < 800) return 1 + rest % 200;
  if (kind < 960) return 200 + rest % 8000;
  if (kind < 997) return 8000 + rest % ((std::size_t{100} << 10) - 8000);
  return (std::size_t{1} << 20) + rest % 300'000;
}

std::string_view next_word(std::string_view& line) {
  const std::size_t end = line.find(' ');
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  return word;
}

template <class T>
bool read(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string to_line(const Message& message) {
  return fmt::format("{} {} {} {} {} {}\n", message.kind, message.verb,
                     message.key.empty() ? "-" : message.key, message.token, message.attempt,
                     std::string_view(message.note).substr(0, 2000));
}

std::optional<Message> parse(std::string_view line) {
  Message message;
  message.kind = next_word(line);
  message.verb = next_word(line);
  message.key = next_word(line);
  const bool numbers =
      read(next_word(line), message.token) && read(next_word(line), message.attempt);
  if (!numbers) return std::nullopt;
  message.note = line;
  return message;
}

Key key_of(std::string_view kind, std::string_view id) {
  return {"crash", kind, id};
}

Key member_of(const Key& batch, std::size_t index) {
  Key member = batch;
  member.id += fmt::format(".{}", index);
  return member;
}

std::uint64_t hash_of(std::string_view text, std::uint64_t number) {
  std::uint64_t hash = mix(number);
  for (const char c : text) hash = mix(hash ^ static_cast<unsigned char>(c));
  return hash;
}

OnAbandon on_abandon_of(const Key& key) {
  return hash_of(key.id, 1) % 2 == 0 ? OnAbandon::rerun : OnAbandon::in_doubt;
}

Fate fate_of(const Key& key, Token token) {
  const std::uint64_t random = hash_of(key.id, token.value) % 100;
  if (random < 85) return Fate::success;
  if (random < 89) return Fate::failure;
  if (random < 93) return Fate::retryable;
  if (random < 97) return Fate::unknown;
  return Fate::exception;
}

Bytes filler(std::uint64_t seed, std::size_t size) {
  Bytes bytes(size, '\0');
  for (std::size_t i = 0; i < size; i += sizeof seed) {
    seed = mix(seed);
    std::memcpy(bytes.data() + i, &seed, std::min(sizeof seed, size - i));
  }
  return bytes;
}

Bytes bytes_of(const Key& key, Token token) {
  const std::uint64_t seed = hash_of(key.to_string(), token.value + 7);
  return filler(seed, size_of(seed));
}

Outcome success_of(const Key& key, Token token) {
  return Outcome::success(bytes_of(key, token));
}

Outcome failure_of(const Key& key, Token token) {
  return Outcome::failure("declined", fmt::format("{} {}", key.to_string(), token.value));
}

Outcome resolved_outcome(const Key& key, Verdict verdict) {
  if (verdict == Verdict::failure) return Outcome::failure("resolved", key.to_string());
  return verdict == Verdict::success ? Outcome::success("resolved " + key.to_string()) : Outcome();
}

std::string account(int number) {
  return fmt::format("account/{}", number);
}

std::string digest_of(ByteView bytes) {
  std::string text;
  for (const std::uint8_t byte : Fingerprint::of(bytes).digest) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace once::crash
