#include "container/journal_frame.h"

#include <algorithm>

#include "base/coding.h"
#include "container/digest.h"
#include "container/layout.h"

namespace once::container {
namespace {

constexpr std::size_t alignment = 8;

}  // namespace

std::size_t frame_bytes(std::size_t payload) {
  return round_up(frame_header_bytes + payload, alignment) + 8;
}

std::optional<Frame> read_frame_header(std::string_view bytes) {
  Reader reader(bytes);
  Frame frame;
  frame.payload_bytes = reader.u32();
  const std::uint32_t kind = reader.u32();
  frame.generation = reader.u64();
  frame.sequence = reader.u64();
  frame.durable = reader.u64();
  if (!reader.ok() || kind > 1 || frame.generation == 0 || frame.sequence == 0) return std::nullopt;
  frame.snapshot = kind == 1;
  frame.bytes = frame_bytes(frame.payload_bytes);
  return frame;
}

std::optional<Frame> parse_frame(std::string_view bytes, std::uint64_t seed) {
  auto frame = read_frame_header(bytes);
  if (!frame || frame->bytes > bytes.size()) return std::nullopt;
  frame->payload = bytes.substr(frame_header_bytes, frame->payload_bytes);
  const std::size_t covered = frame->bytes - 8;
  Reader checksum(bytes.substr(covered));
  if (checksum.u64() != digest_of(bytes.substr(0, covered), seed)) return std::nullopt;
  return frame;
}

std::optional<LaterFrame> find_later_frame(const std::string_view (&copies)[2],
                                           const LaterFrames& wanted, std::uint64_t seed,
                                           SearchLimit& limit) {
  const std::size_t end = std::max(copies[0].size(), copies[1].size());
  for (std::uint64_t at = wanted.from; at + frame_header_bytes < end; at += alignment) {
    for (const std::string_view copy : copies) {
      if (at + frame_header_bytes >= copy.size()) continue;
      // Only what says so in its header is worth a checksum.
      const auto says = read_frame_header(copy.substr(at, frame_header_bytes));
      const bool later = says && !says->snapshot && says->generation >= wanted.generation_from &&
                         says->generation <= wanted.generation_to &&
                         says->sequence > wanted.after && says->durable >= wanted.durable_from &&
                         says->durable < says->sequence && says->payload_bytes < copy.size();
      if (!later) continue;
      if (!limit.spend(says->bytes)) return LaterFrame{.position = at, .given_up = true};
      const auto frame = parse_frame(copy.substr(at), seed);
      if (frame) return LaterFrame{.position = at, .frame = *frame};
    }
  }
  return std::nullopt;
}

}  // namespace once::container
