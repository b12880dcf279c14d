// A frame of the journal that said another generation in one of its copies, with a checksum that
// fits: the first opening went by the other copy and left the two as they were, the next one by
// this, and found the journal damaged with all that was written between the two.
#include <doctest/doctest.h>

#include <string>

#include "base/coding.h"
#include "container/digest.h"
#include "store/lost_frames.h"
#include "store/salvaging.h"

using namespace once;
using namespace once::testing;

TEST_CASE("two copies of a frame that differ are replaced when the store is opened to write") {
  const Sample sample(100);
  const auto frames = frames_in(sample.bytes);
  REQUIRE(frames.size() > 4);
  const auto superblock = superblock_in(sample.bytes);
  const auto& [copies, frame] = frames[frames.size() / 2];
  std::string bytes = sample.bytes;
  Bytes forged(bytes, copies[0], frame.bytes - 8);
  Bytes generation;
  Writer(generation).u64(superblock.generation + 1);
  forged.replace(8, generation.size(), generation);
  Writer(forged).u64(container::digest_of(forged, superblock.seed()));
  REQUIRE(forged.size() == frame.bytes);
  bytes.replace(copies[0], forged.size(), forged);

  const std::string path = sample.directory.file("forged");
  write_file(path, bytes);
  for (const char* key : {"1", "2", "3"}) {
    auto store = Store::open(path);
    REQUIRE_MESSAGE(store.has_value(), store.error().message);
    CHECK(store->execute(key, [] { return 1; }).has_value());
    CHECK(store->close().has_value());
  }
}
