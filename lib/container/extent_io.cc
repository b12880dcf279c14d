#include "container/extent_io.h"

#include <algorithm>

#include "base/error.h"

namespace once::container {
namespace {

// Calls visit(device offset, offset in the piece asked for, length) for each run.
template <class Visit>
Result<void> for_each_run(const Device& device, const Extents& extents, std::uint64_t offset,
                          std::uint64_t length, Visit visit) {
  std::uint64_t start = 0;
  std::uint64_t done = 0;
  for (const Extent& extent : extents) {
    if (done == length) break;
    const std::uint64_t at = offset + done;
    if (at < start + extent.length) {
      const std::uint64_t inside = at - start;
      const std::uint64_t piece = std::min(extent.length - inside, length - done);
      if (auto visited = visit(extent.offset + inside, done, piece); !visited) return visited;
      done += piece;
    }
    start += extent.length;
  }
  if (done == length) return {};
  return fail(ErrorCode::damaged, "{}: bytes {} to {} of a file of {} were asked for",
              device.name(), offset, offset + length, start);
}

}  // namespace

std::uint64_t place_in(const Extents& extents, std::uint64_t offset) {
  for (const Extent& extent : extents) {
    if (offset < extent.length) return extent.offset + offset;
    offset -= extent.length;
  }
  return extents.empty() ? 0 : extents.back().end();
}

Result<void> read_stream(Device& device, const Extents& extents, std::uint64_t offset,
                         std::size_t length, char* buffer) {
  return for_each_run(device, extents, offset, length,
                      [&](std::uint64_t at, std::uint64_t from, std::uint64_t piece) {
                        return device.read(at, piece, buffer + from);
                      });
}

Result<void> write_stream(Device& device, const Extents& extents, std::uint64_t offset,
                          std::string_view bytes) {
  return for_each_run(device, extents, offset, bytes.size(),
                      [&](std::uint64_t at, std::uint64_t from, std::uint64_t piece) {
                        return device.write(at, bytes.substr(from, piece));
                      });
}

Bytes read_what_can_be(Device& device, const Extents& extents) {
  Bytes bytes;
  for (const Extent& extent : extents) {
    const std::size_t start = bytes.size();
    bytes.resize(start + extent.length, '\0');
    if (device.read(extent.offset, extent.length, bytes.data() + start)) continue;
    for (std::uint64_t at = 0; at < extent.length; at += block_bytes) {
      const std::uint64_t length = std::min(block_bytes, extent.length - at);
      char* const buffer = bytes.data() + start + at;
      if (!device.read(extent.offset + at, length, buffer)) std::fill_n(buffer, length, '\0');
    }
  }
  return bytes;
}

void start_stream(Device& device, const Extents& extents, std::uint64_t offset,
                  std::uint64_t length) {
  (void)for_each_run(device, extents, offset, length,
                     [&](std::uint64_t at, std::uint64_t, std::uint64_t piece) {
                       device.start_writing(at, piece);
                       return Result<void>();
                     });
}

}  // namespace once::container
