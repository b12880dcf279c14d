// A log in a directory whose tail is torn off after a kill: what stands before the cut is all
// there, in a legal state, and what stood behind it is gone as if it had never been asked for.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "log_records.h"
#include "model/key_codec.h"
#include "scenario.h"
#include "support/check_result.h"
#include "support/temporary_directory.h"

namespace once::crash {
namespace {

namespace fs = std::filesystem;

constexpr int stores = 4;
constexpr int cuts_a_store = 5;

std::string newest_log(const std::string& store) {
  std::string newest;
  for (const auto& entry : fs::directory_iterator(store)) {
    const std::string path = entry.path();
    if (path.ends_with(".log")) newest = std::max(newest, path);
  }
  return newest;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A store that was killed, and what its newest log holds.
class Torn {
 public:
  explicit Torn(std::uint64_t seed)
      : scenario_(seed, directory_.path(), Sabotage::none, Layout::directory), random_(seed) {
    scenario_.live("load", {.phase = "loading", .delay = std::chrono::milliseconds(60)});
    // Again if the log has just been changed for a new one, in which there is little to cut.
    for (int i = 0; i < 20 && records_.size() <= 2; ++i) {
      scenario_.check();
      scenario_.live("load", {.phase = "loading", .delay = std::chrono::milliseconds(120)});
      records_ = read_records(read_file(newest_log(scenario_.store())));
    }
    whole_ = rows_of(copy("whole"));
    for (const HistoryEntry& entry : whole_.history) locate(Table::history, entry.sequence);
    for (const Event& event : whole_.events) locate(Table::outbox, event.sequence);
  }

  void cut_and_check(int number) {
    const std::size_t cut = choose();
    const std::string path = copy(fmt::format("cut-{}", number));
    fs::resize_file(newest_log(path), cut);
    // If the killed session had not begun to write, the newest log is one that was closed in order,
    // and the inventory would rightly call the cut damage. Here it stands for a log that was not.
    fs::remove(path + "/ONCE.files");
    const Rows found = rows_of(path);
    const auto is_kept = [&](const auto& row) {
      const auto at = ends_.find(row.sequence);
      return at == ends_.end() || at->second <= cut;
    };
    Rows expected;
    std::ranges::copy_if(whole_.history, std::back_inserter(expected.history), is_kept);
    std::ranges::copy_if(whole_.events, std::back_inserter(expected.events), is_kept);
    CHECK_MESSAGE(found.history == expected.history, found.history.size(), " rows of history, ",
                  expected.history.size(), " stand before the cut at ", cut);
    CHECK_MESSAGE(found.events == expected.events, found.events.size(), " events, ",
                  expected.events.size(), " stand before the cut at ", cut);
    lost_ += whole_.history.size() - found.history.size();
    scenario_.model().check_copy(found, fmt::format("the log cut at {}", cut));
  }

  [[nodiscard]] const std::vector<std::string>& problems() { return scenario_.model().problems(); }
  [[nodiscard]] std::size_t lost() const { return lost_; }

 private:
  // Where the record of the log that put this row ends. In a WriteBatch a put begins with 5, the
  // number of the column family, which is the table's, and the length of the key.
  void locate(Table table, std::uint64_t sequence) {
    const Bytes begin = {'\5', static_cast<char>(table), '\10'};
    const Bytes put = begin + model::encode_sequence(sequence);
    const auto at = std::ranges::find_if(records_, [&](const LogRecord& record) {
      return record.payload.find(put) != std::string::npos;
    });
    if (at != records_.end()) ends_[sequence] = at->end;
  }
  // The first record is kept: it raised the opening number, and was synced before anything else.
  std::size_t choose() {
    REQUIRE(records_.size() > 2);
    REQUIRE_FALSE(ends_.empty());
    const std::size_t to = records_.back().end;
    const bool last_one = random_() % 2 == 0;
    const std::size_t from = last_one ? records_[records_.size() - 2].end : records_.front().end;
    return from + random_() % (to - from);
  }
  std::string copy(const std::string& name) {
    const std::string path = directory_.file(name);
    fs::copy(scenario_.store(), path);
    return path;
  }
  Rows rows_of(const std::string& path) {
    Store store = testing::value_of(Store::open(path));
    Rows rows = testing::value_of(read_rows(store));
    const VerifyReport report = testing::value_of(store.verify());
    CHECK_MESSAGE(report.problem_count == 0, report.problems.front());
    const auto answer = testing::value_of(store.reserve("after the cut"));
    for (const HistoryEntry& entry : whole_.history) {
      CHECK(std::get<Reservation>(answer).token > entry.token);
    }
    return rows;
  }

  const testing::TemporaryDirectory directory_;
  Scenario scenario_;
  std::mt19937_64 random_;
  std::vector<LogRecord> records_;
  Rows whole_;
  std::map<std::uint64_t, std::size_t> ends_;
  std::size_t lost_ = 0;
};

TEST_CASE("a torn log loses what stands behind the tear, and nothing else") {
  std::size_t lost = 0;
  for (int i = 0; i < stores; ++i) {
    const std::uint64_t seed = std::random_device()();
    CAPTURE(seed);
    Torn torn(seed);
    for (int cut = 0; cut < cuts_a_store; ++cut) torn.cut_and_check(cut);
    for (const std::string& problem : torn.problems()) FAIL_CHECK(problem);
    lost += torn.lost();
  }
  CHECK(lost > 0);
  fmt::print("crash: {} logs cut, {} rows of history were behind the cuts\n", stores * cuts_a_store,
             lost);
}

}  // namespace
}  // namespace once::crash
