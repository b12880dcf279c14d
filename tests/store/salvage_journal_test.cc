// A frame of the journal of a store in one file is lost in both of its copies: every row that is
// saved is one that was written, and where any is missing, old or back, that is told.
#include <doctest/doctest.h>

#include <random>
#include <set>

#include "store/lost_frames.h"
#include "store/salvaging.h"

using namespace once;
using namespace once::testing;

namespace {

// All versions that any row ever had.
using Versions = std::map<Name, std::vector<Row>>;

void note(Versions& versions, const Rows& rows) {
  for (const auto& [name, row] : rows) {
    auto& known = versions[name];
    if (std::ranges::find(known, row) == known.end()) known.push_back(row);
  }
}

Rows rows_now(Store& store) {
  Rows rows;
  for (Row& row : value_of(rows_of(store))) rows.emplace(name_of(row), row);
  return rows;
}

// A store in which files came and went, as it was left.
struct LeftStore {
  TemporaryDirectory directory{quick_place()};
  Rows rows;
  Versions versions;
  std::string bytes;

  explicit LeftStore(bool killed) {
    const std::string path = directory.file("store");
    for (int opening = 0; opening < 3; ++opening) {
      Store store = value_of(Store::open(path, small()));
      for (int part = 0; part < 4; ++part) {
        for (int i = 0; i < 40; ++i) {
          const int number = opening * 1000 + part * 100 + i;
          complete(store, key_of(number), "outcome of " + key_of(number).id);
          const std::string name = "row " + std::to_string(number % 150);
          value_of(store.transact("data " + std::to_string(number), [&](Transaction& tx) {
            return tx.put(name, "version " + std::to_string(number) + std::string(400, 'd'));
          }));
          if (i % 8 == 3) {
            note(versions, rows_now(store));
            CHECK(value_of(store.remove(key_of(number - 2))));
          }
        }
        note(versions, rows_now(store));
        if (part % 2 == 0) value_of(store.compact());  // what comes after stands in logs
      }
      note(versions, rows_now(store));
      rows = rows_now(store);
      if (killed && opening == 2) {
        bytes = read_file(path);
        return;
      }
      value_of(store.close());
    }
    bytes = read_file(path);
  }

  Salvaged salvage(const std::string& damaged) const {
    const std::string place = directory.file("damaged");
    write_file(place, damaged);
    std::filesystem::remove(directory.file("fresh"));
    return salvage_of(place, directory.file("fresh"));
  }

  void check(const Salvaged& salvaged) const {
    REQUIRE(salvaged.report);
    std::set<std::string> altered;  // keys
    for (const Loss& loss : salvaged.losses) {
      if (!loss.instead.empty() && !loss.key.empty()) altered.insert(loss.key);
    }
    for (const auto& [name, row] : salvaged.rows) {
      const bool of_key = name.first == Table::keys || name.first == Table::results;
      if (of_key && altered.contains(name.second)) continue;
      CAPTURE(to_string(name.first));
      CAPTURE(name.second);
      const auto known = versions.find(name);
      REQUIRE(known != versions.end());
      // Between reserving and completing nobody looked.
      const auto* key = std::get_if<KeyRow>(&row);
      if (key != nullptr && key->record.status == Status::in_progress) continue;
      REQUIRE(std::ranges::find(known->second, row) != known->second.end());
    }
    if (salvaged.rows != rows) REQUIRE_FALSE(salvaged.losses.empty());
  }
};

struct Tally {
  int frames = 0;
  int whole = 0;  // nothing is lost, nor anything back
  int silent = 0;
};

void check_each_frame(bool killed) {
  const LeftStore left(killed);
  const std::vector<FramePlace> frames = frames_in(left.bytes);
  MESSAGE(frames.size() << " frames, " << left.rows.size() << " rows");
  REQUIRE(frames.size() >= 10);
  Tally tally;
  for (const FramePlace& place : frames) {
    for (const bool wiped : {false, true}) {
      CAPTURE(place.frame.sequence);
      CAPTURE(wiped);
      std::string bytes = left.bytes;
      wiped ? place.wipe(bytes) : place.flip(bytes);
      const Salvaged salvaged = left.salvage(bytes);
      left.check(salvaged);
      ++tally.frames;
      tally.whole += salvaged.rows == left.rows ? 1 : 0;
      tally.silent += salvaged.losses.empty() ? 1 : 0;
      if (place.frame.snapshot) {
        CHECK(salvaged.rows == left.rows);
        if (salvaged.losses.empty()) CHECK_FALSE(salvaged.report->mended.empty());
      }
      if (salvaged.rows == left.rows) continue;
      std::string told;
      for (const Loss& loss : salvaged.losses) told += loss.why.substr(0, 200) + "\n";
      MESSAGE("frame " << place.frame.sequence << ": " << salvaged.rows.size() << " rows of "
                       << left.rows.size() << "\n"
                       << told.substr(0, 600));
    }
  }
  MESSAGE(tally.frames << " frames lost, " << tally.whole << " times all rows were saved, "
                       << tally.silent << " times nothing was told");
  CHECK(tally.whole * 20 >= tally.frames * 19);
}

}  // namespace

TEST_CASE("without superblocks, too") {
  const LeftStore left(true);
  const std::vector<FramePlace> frames = frames_in(left.bytes);
  int told = 0;
  for (std::size_t i = 0; i < frames.size(); i += i == 0 ? 1 : 9) {
    CAPTURE(frames[i].frame.sequence);
    std::string bytes = left.bytes;
    frames[i].flip(bytes);
    const Salvaged with = left.salvage(bytes);
    bytes.replace(0, 2 * container::block_bytes, 2 * container::block_bytes, '\0');
    const Salvaged without = left.salvage(bytes);
    left.check(without);
    CHECK(without.rows == with.rows);
    CHECK(without.losses.size() == with.losses.size());
    told += without.losses.empty() ? 0 : 1;
  }
  CHECK(told > 5);
}

TEST_CASE("several frames, blocks of both copies, and parts of the other slot are lost") {
  const LeftStore left(false);
  const std::vector<FramePlace> frames = frames_in(left.bytes);
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    CAPTURE(round);
    std::string bytes = left.bytes;
    const std::size_t first = random() % frames.size();
    const std::size_t count = 1 + random() % 30;
    for (std::size_t i = first; i < std::min(first + count, frames.size()); ++i) {
      random() % 2 == 0 ? frames[i].flip(bytes) : frames[i].wipe(bytes);
    }
    if (round % 3 == 1) frames[random() % frames.size()].flip(bytes);
    if (round % 3 == 2) {
      const auto others = frames_in(left.bytes, false);
      REQUIRE(others.size() > 1);
      frames[0].flip(bytes);
      others[1 + random() % (others.size() - 1)].flip(bytes);
    }
    left.check(left.salvage(bytes));
  }
  // Nothing tells what there was.
  std::string bytes = left.bytes;
  frames[0].flip(bytes);
  frames_in(left.bytes, false)[0].flip(bytes);
  const Salvaged nothing = left.salvage(bytes);
  REQUIRE_FALSE(nothing.report);
  CHECK(nothing.report.error().code == ErrorCode::damaged);
  CHECK(nothing.report.error().message.find("restore a backup") != std::string::npos);
}

TEST_CASE("any frame of the journal is lost, of a store that was closed") {
  check_each_frame(false);
}

TEST_CASE("any frame of the journal is lost, of a store that was killed") {
  check_each_frame(true);
}
