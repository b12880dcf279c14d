// Any bytes as a host file: raw, or as changes of a valid one, which then get their checksums
// right, so that what is behind the checksums is reached. Opening it, reading it, writing to it and
// giving its space back gives an error or a sound container, and needs no more memory than it has
// bytes.
#include <rocksdb/file_system.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/coding.h"
#include "check.h"
#include "container/container_place.h"
#include "container/digest.h"
#include "container/envelope.h"
#include "container/file_program.h"
#include "container/journal.h"
#include "container/random_program.h"
#include "container/slot_label.h"
#include "container/superblock.h"

namespace {

using namespace once;
using namespace once::testing;
using Kind = Op::Kind;

// A container with one of everything, closed in good order or left as it was.
DiskImage make_image(bool closed) {
  auto place = open_place(std::make_shared<SimulatedDevice>());
  ONCE_CHECK(place.has_value());
  Runner runner(place->files);
  for (const Op& op :
       std::initializer_list<Op>{{.kind = Kind::make_directory, .path = "/db"},
                                 {.kind = Kind::create, .path = "/db/MANIFEST-000001"},
                                 {.kind = Kind::append, .length = 100},
                                 {.kind = Kind::sync},
                                 {.kind = Kind::create, .path = "/db/000002.log", .slot = 1},
                                 {.kind = Kind::append, .length = 300, .slot = 1},
                                 {.kind = Kind::append, .length = 30, .slot = 1},
                                 {.kind = Kind::sync, .slot = 1},
                                 {.kind = Kind::create, .path = "/db/000003.sst", .slot = 2},
                                 {.kind = Kind::append, .length = 5000, .slot = 2},
                                 {.kind = Kind::sync, .slot = 2},
                                 {.kind = Kind::close, .slot = 2},
                                 {.kind = Kind::link, .path = "/db/000003.sst", .to = "/db/x.sst"},
                                 {.kind = Kind::create, .path = "/db/CURRENT", .slot = 2},
                                 {.kind = Kind::append, .length = 16, .slot = 2},
                                 {.kind = Kind::sync, .slot = 2},
                                 {.kind = Kind::rename, .path = "/db/CURRENT", .to = "/db/OLD"},
                                 {.kind = Kind::remove, .path = "/db/OLD"},
                                 {.kind = Kind::sync, .slot = 1}}) {
    ONCE_CHECK(runner.run(op).ok());
  }
  runner.let_go();
  if (closed) ONCE_CHECK(place->container->close().has_value());
  return place->device->image();
}

// Makes the checksum fit that ends the piece of `length` bytes at `offset`.
void reseal(DiskImage& image, std::uint64_t offset, std::uint64_t length, std::uint64_t seed) {
  if (length < 16 || offset > image.size() || length > image.size() - offset) return;
  const std::string bytes = image.bytes(offset, static_cast<std::size_t>(length) - 8);
  Bytes checksum;
  Writer(checksum).u64(container::digest_of(bytes, seed));
  image.write(offset + length - 8, checksum);
}

std::uint32_t length_at(const DiskImage& image, std::uint64_t offset) {
  const std::string raw = image.bytes(offset, 4);
  return Reader(raw).u32();
}

// A piece of an image that ends with a checksum.
struct Piece {
  enum class Kind { superblock, frame, envelope, note, label };
  Kind kind = Kind::superblock;
  std::uint64_t offset = 0;
  std::uint64_t other_copy = 0;  // of a superblock, frame or label: how far away
};

struct Sample {
  DiskImage image{};
  std::uint64_t seed = 0;
  std::vector<Piece> pieces{};
};

Sample make_sample(bool closed) {
  Sample sample{.image = make_image(closed)};
  SimulatedDevice device(sample.image);
  const container::Superblock superblock = container::read_superblocks(device)->newest;
  sample.seed = superblock.seed();
  sample.pieces.push_back({.other_copy = container::block_bytes});
  const container::JournalSlot& slot = superblock.slots[superblock.active];
  for (std::uint64_t at = slot.copies[0];
       length_at(sample.image, at) > 0 || at == slot.copies[0];) {
    sample.pieces.push_back(
        {.kind = Piece::Kind::frame, .offset = at, .other_copy = slot.copies[1] - slot.copies[0]});
    at += container::frame_bytes(length_at(sample.image, at));
  }
  sample.pieces.push_back({.kind = Piece::Kind::label,
                           .offset = slot.copies[0] + slot.length - container::slot_label_bytes,
                           .other_copy = slot.copies[1] - slot.copies[0]});
  const std::string bytes = sample.image.bytes();
  for (std::size_t at = bytes.find("OENV"); at != std::string::npos;
       at = bytes.find("OENV", at + 1)) {
    sample.pieces.push_back({.kind = Piece::Kind::envelope, .offset = at - 4});
  }
  for (std::size_t at = bytes.find("OSYN"); at != std::string::npos;
       at = bytes.find("OSYN", at + 1)) {
    sample.pieces.push_back({.kind = Piece::Kind::note, .offset = at - 4});
  }
  ONCE_CHECK(closed || sample.pieces.back().kind == Piece::Kind::note);
  return sample;
}

void reseal(DiskImage& image, const Piece& piece, std::uint64_t seed) {
  const std::size_t length = length_at(image, piece.offset);
  switch (piece.kind) {
    case Piece::Kind::superblock:
      return reseal(image, piece.offset, container::block_bytes, 0);
    case Piece::Kind::frame:
      return reseal(image, piece.offset, container::frame_bytes(length), seed);
    case Piece::Kind::envelope:
      return reseal(image, piece.offset, container::envelope_bytes(length), seed);
    case Piece::Kind::note:
      return reseal(image, piece.offset, container::sync_note_bytes, seed);
    case Piece::Kind::label:
      return reseal(image, piece.offset, container::slot_label_bytes, 0);
  }
}

// Changes of a valid image: which piece, where in it, what, in one copy or both, and whether the
// checksum is made right again afterwards.
DiskImage patched(ProgramReader& bytes) {
  static const Sample samples[2] = {make_sample(false), make_sample(true)};
  const Sample& sample = samples[bytes.byte() % 2];
  DiskImage image = sample.image;
  std::vector<Piece> resealed;
  // Few: of many one is always refused at once.
  for (int left = 1 + bytes.byte() % 4; left > 0 && !bytes.at_end(); --left) {
    const std::uint8_t how = bytes.byte();
    if (how < 16) {
      image.resize(std::min<std::uint64_t>(image.size() * bytes.byte() / 64, 4 << 20));
      continue;
    }
    const Piece& piece = sample.pieces[bytes.byte() % sample.pieces.size()];
    const std::uint64_t into = bytes.byte() % 120;
    std::string change;
    for (int i = 0; i <= how % 8; ++i) change += static_cast<char>(bytes.byte());
    for (const bool other : {false, true}) {
      if (other && (piece.other_copy == 0 || (how & 16) != 0)) continue;
      Piece copy = piece;
      if (other) copy.offset += piece.other_copy;
      image.write(copy.offset + into, change);
      if ((how & 32) == 0) resealed.push_back(copy);
    }
  }
  for (const Piece& piece : resealed) {
    if (piece.offset + 4 <= image.size()) reseal(image, piece, sample.seed);
  }
  return image;
}

// Opens and uses it; what that gives does not matter, as long as it is sound.
void use(const DiskImage& image, bool read_only, bool keep_prefix) {
  container::ContainerOptions options = test_options();
  options.read_only = read_only;
  options.keep_prefix = keep_prefix;
  options.create_if_missing = false;
  auto device = std::make_shared<SimulatedDevice>(image);
  device->set_capacity(std::uint64_t{16} << 20);
  auto place = open_place(device, options);
  if (!place) {
    ONCE_CHECK(!place.error().message.empty());
    // Refused without a change; a writing opening may have begun to write what it was sure of.
    if (read_only) ONCE_CHECK(device->calls().of(CallKind::write) == 0);
    return;
  }
  Tree tree;
  (void)read_tree(*place->files, "", &tree);
  auto report = place->container->fsck({});
  if (report) {
    ONCE_CHECK(report->blocks_used + report->blocks_free == report->blocks);
  }
  if (read_only) {
    ONCE_CHECK(device->calls().of(CallKind::write) == 0);
    return;
  }
  Runner runner(place->files);
  for (const Op& op :
       std::initializer_list<Op>{{.kind = Kind::make_directory_if_missing, .path = "/new"},
                                 {.kind = Kind::create, .path = "/new/1.log"},
                                 {.kind = Kind::append, .length = 5000},
                                 {.kind = Kind::sync},
                                 {.kind = Kind::create, .path = "/new/2.sst", .slot = 1},
                                 {.kind = Kind::append, .length = 9000, .slot = 1},
                                 {.kind = Kind::sync, .slot = 1},
                                 {.kind = Kind::remove, .path = "/db/000003.sst"},
                                 {.kind = Kind::sync_directory, .path = "/new"}}) {
    if (!runner.run(op).ok()) return;
  }
  runner.let_go();
  (void)place->container->compact({});
  // What was acknowledged on it is there afterwards.
  const bool closed = place->container->close().has_value();
  auto again = open_place(device->moment().crash({CrashPlan::Kind::none}), test_options());
  ONCE_CHECK(again.has_value() || !closed);
  if (!again) return;
  std::string found;
  ONCE_CHECK(read_whole(*again->files, "/new/1.log", &found).ok());
  ONCE_CHECK(found == bytes_of(1, 5000));
  ONCE_CHECK(read_whole(*again->files, "/new/2.sst", &found).ok());
  ONCE_CHECK(found == bytes_of(2, 9000));
}

// All that can be told of it, whatever is wrong.
void salvage(const DiskImage& image) {
  container::ContainerOptions options = test_options();
  options.read_only = true;
  options.salvage = true;
  auto device = std::make_shared<SimulatedDevice>(image);
  auto place = open_place(device, options);
  if (!place) return;
  Tree tree;
  (void)read_tree(*place->files, "", &tree);
  for (const char* path : {"/db/MANIFEST-000001", "/db/000002.log", "/db/000003.sst", "/db/none"}) {
    const auto log = place->container->read_damaged_log(path);
    if (log) ONCE_CHECK(log->bytes.size() <= (std::size_t{64} << 20));
  }
  ONCE_CHECK(device->calls().of(CallKind::write) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  const once::ByteView input = once::fuzz::view(data, size);
  ProgramReader bytes(input);
  const bool raw = bytes.byte() < 16;
  const DiskImage image =
      raw ? DiskImage(input.substr(std::min<std::size_t>(size, 1))) : patched(bytes);
  use(image, true, false);
  use(image, true, true);
  use(image, false, false);
  salvage(image);
  return 0;
}
