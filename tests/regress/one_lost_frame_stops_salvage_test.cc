// One frame of the journal that was rotten in both copies kept everything from being saved, though
// all logs and tables were whole.
#include <doctest/doctest.h>

#include "store/lost_frames.h"
#include "store/salvaging.h"

using namespace once;
using namespace once::testing;

TEST_CASE(
    "a frame of the journal that is lost in both copies does not keep the rest from being saved") {
  Sample sample(100);
  const auto frames = frames_in(sample.bytes);
  REQUIRE(frames.size() > 3);
  int whole = 0;
  for (const FramePlace& place : frames) {
    CAPTURE(place.frame.sequence);
    std::string bytes = sample.bytes;
    place.flip(bytes);
    // Nobody else may go on as if nothing was lost; what stands last looks like the end.
    if (place.frame.sequence + 3 < frames.back().frame.sequence) {
      write_file(sample.directory.file("damaged"), bytes);
      const auto opened = Store::open(sample.directory.file("damaged"), {.read_only = true});
      REQUIRE_FALSE(opened);
      CHECK(opened.error().code == ErrorCode::damaged);
    }
    const Salvaged salvaged = sample.salvage(bytes);
    REQUIRE(salvaged.report);
    if (salvaged.rows == sample.rows) ++whole;
    if (salvaged.rows != sample.rows) CHECK(is_about_all(salvaged.losses));
    if (place.frame.snapshot) CHECK(salvaged.rows == sample.rows);
  }
  MESSAGE(whole << " of " << frames.size() << " frames cost nothing");
  CHECK(whole * 4 >= static_cast<int>(frames.size()) * 3);
}
