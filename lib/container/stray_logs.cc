#include "container/stray_logs.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "base/coding.h"
#include "container/envelope.h"
#include "container/extent_io.h"
#include "container/search_limit.h"

namespace once::container {
namespace {

constexpr std::uint64_t step = 8;  // envelopes begin at multiples of this
constexpr std::uint64_t piece_bytes = std::uint64_t{1} << 20;
constexpr std::size_t header_bytes = 32;

void add(Extents& extents, const Extent& blocks) {
  if (!extents.empty() && extents.back().end() >= blocks.offset) {
    extents.back().length = std::max(extents.back().end(), blocks.end()) - extents.back().offset;
  } else {
    extents.push_back(blocks);
  }
}

}  // namespace

std::map<std::uint64_t, Extents> find_stray_logs(
    Device& device, const Extents& unclaimed, std::uint64_t seed,
    const std::function<bool(std::uint64_t id)>& wanted) {
  std::map<std::uint64_t, Extents> found;
  SearchLimit limit(length_of(unclaimed));
  for (const Extent& run : unclaimed) {
    Bytes bytes;
    std::uint64_t start = run.offset;  // of `bytes`
    for (std::uint64_t at = run.offset; at + header_bytes <= run.end();) {
      if (at + header_bytes > start + bytes.size()) {
        start = at;
        bytes = read_what_can_be(device,
                                 {{.offset = at, .length = std::min(piece_bytes, run.end() - at)}});
      }
      const std::string_view here = std::string_view(bytes).substr(at - start);
      Reader header(here.substr(8));
      const std::uint64_t id = header.u64();
      const std::uint64_t whole = claimed_bytes(here, id);
      if (at % block_bytes == 0 && noted_durable(here, id, seed) != 0 && wanted(id)) {
        add(found[id], {.offset = at, .length = block_bytes});
      }
      if (whole == 0 || whole > run.end() - at || !wanted(id)) {
        at += step;
        continue;
      }
      if (!limit.spend(whole)) return found;
      const Bytes more = whole <= here.size()
                             ? Bytes()
                             : read_what_can_be(device, {{.offset = at, .length = whole}});
      if (!parse_envelope(more.empty() ? here : std::string_view(more), seed)) {
        at += step;
        continue;
      }
      const std::uint64_t first = at / block_bytes * block_bytes;
      add(found[id], {.offset = first, .length = round_up(at + whole, block_bytes) - first});
      at += whole;
    }
  }
  return found;
}

}  // namespace once::container
