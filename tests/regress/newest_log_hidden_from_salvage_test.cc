// Salvage did not find the newest log where the frames were lost that made it and that removed the
// one whose blocks it has; nor where a log had been removed whose making was lost, too: then it
// took the newest one for that. All that was committed since the last flush was missing, though
// every byte of it was whole, and no loss told of it.
#include <doctest/doctest.h>

#include "store/lost_frames.h"
#include "store/salvaging.h"

using namespace once;
using namespace once::testing;

TEST_CASE("what stands in the newest log is saved whichever frames are lost") {
  const TemporaryDirectory directory{quick_place()};
  const std::string path = directory.file("store");
  std::string bytes;
  std::vector<std::string> in_log;  // rows that no table has
  {
    Store store = value_of(Store::open(path, small()));
    constexpr int parts = 5;
    for (int part = 0; part < parts; ++part) {
      for (int i = 0; i < 40; ++i) {
        const std::string name = "row " + std::to_string(i) + " of " + std::to_string(part);
        complete(store, key_of(part * 100 + i), "an outcome");
        value_of(store.transact("to " + name, [&](Transaction& tx) {
          return tx.put(name, name + std::string(400, 'd'));
        }));
        if (part == parts - 1) in_log.push_back(name);
      }
      if (part < parts - 1) value_of(store.compact());
    }
    bytes = read_file(path);  // as a kill leaves it
  }
  const std::vector<FramePlace> frames = frames_in(bytes);
  REQUIRE(frames.size() > 200);
  for (const std::size_t count : {30U, 90U}) {
    for (std::size_t first = 1; first + count < frames.size(); first += 4) {
      CAPTURE(count);
      CAPTURE(first);
      std::string damaged = bytes;
      for (std::size_t i = first; i < first + count; ++i) frames[i].flip(damaged);
      write_file(directory.file("damaged"), damaged);
      std::filesystem::remove(directory.file("fresh"));
      const Salvaged salvaged = salvage_of(directory.file("damaged"), directory.file("fresh"));
      REQUIRE(salvaged.report);
      for (const std::string& name : in_log) {
        CAPTURE(name);
        const auto at = std::ranges::find_if(salvaged.rows, [&](const auto& row) {
          const auto* data = std::get_if<DataRow>(&row.second);
          return data != nullptr && data->key == name;
        });
        REQUIRE(at != salvaged.rows.end());
      }
    }
  }
}
