// Salvaging: every row outside of what is damaged is saved as it was, everything else is told, and
// nothing that was done looks as if it had not been.
#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "container/superblock.h"
#include "store/salvaging.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a store without damage: everything, and nothing is told") {
  for (const Layout layout : {Layout::file, Layout::directory}) {
    const Sample sample(500, layout);
    for (const Layout fresh : {Layout::file, Layout::directory}) {
      const std::string path = sample.directory.file("fresh");
      const Salvaged salvaged = salvage_of(sample.path, path, fresh);
      REQUIRE(salvaged.report);
      CHECK(salvaged.losses.empty());
      CHECK(salvaged.report->mended.empty());
      CHECK(salvaged.report->rebuilt == 0);
      CHECK(salvaged.report->lost_log_bytes == 0);
      CHECK(salvaged.rows == sample.rows);
      CHECK(salvaged.report->rows == sample.rows.size());
      CHECK(std::filesystem::is_directory(path) == (fresh == Layout::directory));
      std::filesystem::remove_all(path);
    }
  }
}

TEST_CASE("10,000 rows: exactly those outside of the damaged blocks") {
  Sample sample(4000, Layout::file, true);
  REQUIRE(sample.rows.size() > 10'000);
  std::mt19937 random(1);
  std::map<Table, int> tried;
  for (const TableInFile& file : files_within(sample.path, ".sst")) {
    if (file.table == Table::all) continue;
    for (std::size_t i = 0; i < file.blocks.size();
         i += std::max<std::size_t>(1, file.blocks.size() / 4)) {
      CAPTURE(file.name);
      CAPTURE(to_string(file.table));
      CAPTURE(i);
      ++tried[file.table];
      std::string bytes = sample.bytes;
      flip(bytes, file.place(file.blocks[i].offset + random() % file.blocks[i].length));
      const Salvaged salvaged = sample.salvage(bytes);
      REQUIRE(salvaged.report);
      check(sample.rows, salvaged);
      // A range is told, with its neighbours.
      const auto ranges = std::ranges::count_if(salvaged.losses, [&](const Loss& loss) {
        return loss.table == file.table && loss.key.empty();
      });
      CHECK(ranges == 1);
      std::size_t lost = 0;
      for (const auto& [name, row] : sample.rows) {
        const auto saved = salvaged.rows.find(name);
        if (saved == salvaged.rows.end() || saved->second != row) ++lost;
      }
      // Rows of the block, and the record that goes with each outcome, or the other way round.
      const std::size_t in_block = file.keys[i].size();
      const bool of_keys = file.table == Table::keys || file.table == Table::results;
      CHECK(lost >= in_block);
      CHECK(lost <= (of_keys ? 2 * in_block : in_block));
      if (file.table != Table::keys) continue;
      // Each of these keys is made anew: nothing runs again.
      CHECK(salvaged.report->rebuilt == in_block);
      for (const auto& [name, row] : sample.rows) {
        if (name.first == Table::keys) REQUIRE(salvaged.rows.contains(name));
      }
    }
  }
  for (const Table table : {Table::keys, Table::results, Table::checkpoints, Table::outbox,
                            Table::history, Table::data}) {
    CAPTURE(to_string(table));
    CHECK(tried[table] > 0);
  }
}

TEST_CASE("without a table's way to its blocks nothing is lost") {
  Sample sample(500, Layout::file, true);
  for (const TableInFile& file : files_within(sample.path, ".sst")) {
    const std::uint64_t end = file.blocks.back().offset + file.blocks.back().length;
    std::string bytes = sample.bytes;
    for (std::uint64_t at = end; at < file.size; ++at) bytes[file.place(at)] = '\x77';
    const Salvaged salvaged = sample.salvage(bytes);
    REQUIRE(salvaged.report);
    CHECK(salvaged.losses.empty());
    CHECK(salvaged.report->mended.size() == 1);
    CHECK(salvaged.rows == sample.rows);
  }
}

TEST_CASE("tables on several levels: no older version, no removed row, comes back") {
  Sample sample(3000);
  const auto files = files_within(sample.path, ".sst");
  std::mt19937 random(5);
  for (int round = 0; round < 60; ++round) {
    std::string bytes = sample.bytes;
    for (int i = 0; i <= round % 4; ++i) {
      const TableInFile& file = files[random() % files.size()];
      flip(bytes, file.place(random() % file.size));
    }
    CAPTURE(round);
    const Salvaged salvaged = sample.salvage(bytes);
    REQUIRE(salvaged.report);
    check(sample.rows, salvaged);
  }
}

TEST_CASE("a damaged log: everything but the commits in it") {
  Sample sample(600);
  const auto logs = files_within(sample.path, ".log");
  REQUIRE_FALSE(logs.empty());
  const TableInFile& log =
      *std::ranges::max_element(logs, {}, [](const TableInFile& file) { return file.size; });
  REQUIRE(log.size > 20'000);
  for (std::uint64_t at = 0; at < log.size; at += log.size / 25) {
    CAPTURE(at);
    std::string bytes = sample.bytes;
    flip(bytes, log.place(at));
    const Salvaged salvaged = sample.salvage(bytes);
    REQUIRE(salvaged.report);
    CHECK(salvaged.report->lost_log_bytes > 0);
    CHECK(salvaged.report->lost_log_bytes < 2000);
    CHECK(is_about_all(salvaged.losses));
    // One commit has a record, an outcome and a row of history, or those that it removes.
    std::size_t differ = 0;
    for (const auto& [name, row] : sample.rows) {
      const auto saved = salvaged.rows.find(name);
      if (saved == salvaged.rows.end() || saved->second != row) ++differ;
    }
    CHECK(differ <= 4);
    CHECK(salvaged.rows.size() <= sample.rows.size() + 3);
  }
}

TEST_CASE("the list of files, or what names it, is beyond reading") {
  Sample sample(1000, Layout::file, true);
  SUBCASE("what names it") {
    const auto found = files_within(sample.path, "CURRENT");
    REQUIRE(found.size() == 1);
    std::string bytes = sample.bytes;
    flip(bytes, found[0].place(3));
    const Salvaged salvaged = sample.salvage(bytes);
    REQUIRE(salvaged.report);
    CHECK(salvaged.losses.empty());
    CHECK(salvaged.report->mended.size() == 1);
    CHECK(salvaged.rows == sample.rows);
  }
  SUBCASE("the list") {
    const auto found = files_within(sample.path, "MANIFEST-");
    REQUIRE_FALSE(found.empty());
    std::string bytes = sample.bytes;
    // All of them.
    for (const TableInFile& list : found) {
      for (std::uint64_t at = 40; at < list.size; at += 100) flip(bytes, list.place(at));
    }
    const Salvaged salvaged = sample.salvage(bytes);
    REQUIRE(salvaged.report);
    // It is told that it may be otherwise; here no table was left that was not in use.
    CHECK(is_about_all(salvaged.losses));
    CHECK(salvaged.rows == sample.rows);
  }
}

TEST_CASE("the list of files is beyond reading, with versions of rows on several levels") {
  Sample sample(3000);
  std::string bytes = sample.bytes;
  for (const TableInFile& list : files_within(sample.path, "MANIFEST-")) {
    flip(bytes, list.place(100));
  }
  Salvaged salvaged = sample.salvage(bytes);
  REQUIRE(salvaged.report);
  CHECK(is_about_all(salvaged.losses));
  CHECK(salvaged.rows == sample.rows);

  // And a damaged table on top.
  const auto files = files_within(sample.path, ".sst");
  const auto& victim = *std::ranges::max_element(
      files, {}, [](const TableInFile& file) { return file.table == Table::keys ? file.size : 0; });
  flip(bytes, victim.place(victim.blocks[victim.blocks.size() / 2].offset + 10));
  salvaged = sample.salvage(bytes);
  REQUIRE(salvaged.report);
  check(sample.rows, salvaged);
  CHECK(salvaged.rows.size() + 100 > sample.rows.size());
}

TEST_CASE(
    "superblocks or journal beyond reading: what leads to the files is found, or that is said") {
  Sample sample(50);
  SUBCASE("both superblocks cost nothing") {
    std::string bytes = sample.bytes;
    SUBCASE("rotten") {
      flip(bytes, 50);
      flip(bytes, 4096 + 50);
    }
    SUBCASE("overwritten with zeros, and the holder page too") {
      bytes.replace(0, 12288, 12288, '\0');
    }
    const Salvaged salvaged = sample.salvage(bytes);
    REQUIRE(salvaged.report);
    CHECK(salvaged.rows == sample.rows);
    CHECK(salvaged.report->lost == 0);
    REQUIRE(salvaged.report->mended.size() == 1);
    CHECK(salvaged.report->mended[0].find("superblocks") != std::string::npos);
  }
  SUBCASE(
      "both superblocks, and the labels of the slots, as in a store from before there were any") {
    std::string bytes = sample.bytes;
    flip(bytes, 50);
    flip(bytes, 4096 + 50);
    for (std::size_t at = 0; (at = bytes.find("ONCESLOT", at)) != std::string::npos; ++at) {
      flip(bytes, at);
    }
    const Salvaged salvaged = sample.salvage(bytes);
    REQUIRE_FALSE(salvaged.report);
    CHECK(salvaged.report.error().code == ErrorCode::damaged);
    CHECK(salvaged.report.error().message.find("superblock") != std::string::npos);
    CHECK(salvaged.report.error().message.find("nothing can be saved") != std::string::npos);
  }
  SUBCASE("one of them costs nothing") {
    for (const std::uint64_t at : {std::uint64_t{50}, std::uint64_t{4096 + 50}}) {
      std::string bytes = sample.bytes;
      flip(bytes, at);
      CHECK(sample.salvage(bytes).rows == sample.rows);
    }
  }
  SUBCASE("a copy of the journal behind the end, as when the file was cut, costs nothing") {
    const auto superblock = value_of(container::decode_superblock(
        std::string_view(sample.bytes).substr(0, container::block_bytes)));
    for (const std::uint32_t slot : {0u, 1u}) {
      for (const int copy : {0, 1}) {
        container::Superblock moved = superblock;
        moved.slots[slot].copies[copy] = container::round_up(sample.bytes.size(), 4096) + 4096;
        std::string bytes = sample.bytes;
        for (const std::uint64_t at : container::superblock_offsets) {
          bytes.replace(at, container::block_bytes, container::encode(moved));
        }
        CHECK(sample.salvage(bytes).rows == sample.rows);
      }
    }
  }
  SUBCASE("the journal") {
    // All that stands before the first file.
    std::uint64_t first = sample.bytes.size();
    for (const TableInFile& file : files_within(sample.path, "")) {
      for (const auto& extent : file.extents) first = std::min(first, extent.offset);
    }
    std::string bytes = sample.bytes;
    for (std::uint64_t at = container::first_block_offset; at < first; at += 16) flip(bytes, at);
    const Salvaged salvaged = sample.salvage(bytes);
    REQUIRE_FALSE(salvaged.report);
    CHECK(salvaged.report.error().code == ErrorCode::damaged);
    CHECK(salvaged.report.error().message.find("journal") != std::string::npos);
  }
}

TEST_CASE("a flipped byte anywhere, a few at once, and whole blocks") {
  Sample sample(1500);
  std::mt19937 random(11);
  int saved = 0;
  for (int round = 0; round < 120; ++round) {
    std::string bytes = sample.bytes;
    const int flips = round % 3 == 0 ? 1 : 8;
    for (int i = 0; i < flips; ++i) {
      const std::uint64_t at = random() % bytes.size();
      if (round % 3 == 2) {
        std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at / 4096 * 4096),
                    std::min<std::size_t>(4096, bytes.size() - at / 4096 * 4096), '\0');
      } else {
        flip(bytes, at);
      }
    }
    CAPTURE(round);
    const Salvaged salvaged = sample.salvage(bytes);
    if (!salvaged.report) {
      CHECK(salvaged.report.error().code == ErrorCode::damaged);
      continue;
    }
    ++saved;
    if (!is_about_all(salvaged.losses)) check(sample.rows, salvaged);
  }
  CHECK(saved > 100);
}

TEST_CASE("a directory: any of its files flipped, cut or gone") {
  Sample sample(1000, Layout::directory);
  const auto original = files_of(sample.path);
  const std::string damaged = sample.directory.file("damaged");
  const std::string fresh = sample.directory.file("fresh");
  std::mt19937 random(2);
  for (const auto& [name, content] : original) {
    for (int how = 0; how < 4; ++how) {
      CAPTURE(name);
      CAPTURE(how);
      auto files = original;
      if (how == 3) {
        files.erase(name);
      } else if (content.empty()) {
        continue;
      } else if (how == 2) {
        files[name].resize(content.size() / 2);
      } else {
        flip(files[name], random() % content.size());
      }
      write_files(damaged, files);
      std::filesystem::remove(fresh);
      const Salvaged salvaged = salvage_of(damaged, fresh);
      REQUIRE(salvaged.report);
      const bool log = name.ends_with(".log");
      const bool list = name.starts_with("MANIFEST") || name == "CURRENT";
      if (log && how >= 2) CHECK(is_about_all(salvaged.losses));
      if (!log && !list) check(sample.rows, salvaged);
      if (list) CHECK(salvaged.rows == sample.rows);
      // An inventory that is not there, or not whole, tells of fewer logs.
      const bool rows = log || name.ends_with(".sst");
      if (!rows) CHECK(salvaged.rows == sample.rows);
    }
  }
}

TEST_CASE("what is refused") {
  Sample sample(20);
  const std::string fresh = sample.directory.file("fresh");
  SUBCASE("something is at the fresh path") {
    write_file(fresh, "mine");
    CHECK(error_of(salvage(sample.path, fresh)) == ErrorCode::invalid_argument);
    CHECK(read_file(fresh) == "mine");
    CHECK(error_of(salvage(sample.path, sample.path)) == ErrorCode::invalid_argument);
    CHECK(read_file(sample.path) == sample.bytes);
  }
  SUBCASE("somebody writes to it") {
    const Store store = value_of(Store::open(sample.path));
    const auto salvaged = salvage(sample.path, fresh);
    CHECK(error_of(salvaged) == ErrorCode::store_locked);
    CHECK_FALSE(std::filesystem::exists(fresh));
  }
  SUBCASE("somebody writes to it, in a directory") {
    const std::string path = sample.directory.file("directory");
    const Store store = value_of(Store::open(path, {.layout = Layout::directory}));
    CHECK(error_of(salvage(path, fresh)) == ErrorCode::store_locked);
  }
  SUBCASE("it is no store") {
    CHECK(error_of(salvage(sample.directory.file("nothing"), fresh)) == ErrorCode::store_missing);
    write_file(sample.directory.file("text"), std::string(100'000, 't'));
    CHECK(error_of(salvage(sample.directory.file("text"), fresh)) == ErrorCode::not_a_store);
    CHECK(error_of(salvage(sample.directory.path(), fresh)) == ErrorCode::not_a_store);
  }
  SUBCASE("somebody reads it: that is fine") {
    const Store store = value_of(Store::open(sample.path, {.read_only = true}));
    CHECK(value_of(salvage(sample.path, fresh)).lost == 0);
  }
}

TEST_CASE("what was salvaged goes on as a store: tokens grow, what is done stays done") {
  Sample sample(200, Layout::file, true);
  const auto files = files_within(sample.path, ".sst");
  std::string bytes = sample.bytes;
  for (const TableInFile& file : files) {
    if (file.table == Table::results) flip(bytes, file.place(file.blocks[0].offset + 20));
  }
  const Salvaged salvaged = sample.salvage(bytes);
  REQUIRE(salvaged.report);
  CHECK(salvaged.report->rebuilt > 0);
  Token greatest;
  for (const auto& [name, row] : sample.rows) {
    if (const auto* key = std::get_if<KeyRow>(&row)) {
      greatest = std::max(greatest, key->record.token);
    }
  }
  Store store = value_of(Store::open(sample.directory.file("fresh")));
  for (const Loss& loss : salvaged.losses) {
    if (loss.instead.empty()) continue;
    const Key key = value_of(Key::parse(loss.key));
    const auto again = store.execute(key, [] { return Bytes("must not run"); });
    REQUIRE_FALSE(again);
    // A kept failure stays one; what was done has no outcome any more, and says so.
    CHECK((again.error().code == ErrorCode::outcome_omitted ||
           again.error().code == ErrorCode::work_failed));
    CHECK(again.error().replayed);
  }
  const auto fresh = value_of(store.reserve("a new key"));
  CHECK(std::get<Reservation>(fresh).token > greatest);
}
