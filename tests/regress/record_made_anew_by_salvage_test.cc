// A record that salvaging gives and then has to give anew, because a checkpoint is newer than it,
// was refused as one that came twice, and a thousand other rows with it.
#include <doctest/doctest.h>

#include "store/fixture.h"
#include "store/salvaging.h"

using namespace once;
using namespace once::testing;

TEST_CASE("a checkpoint that is newer than the record of its key costs no other row") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("s");
  Options options;
  options.layout = Layout::directory;
  const auto log = [&] {
    std::string newest;
    for (const auto& [name, bytes] : files_of(path)) {
      if (name.ends_with(".log")) newest = std::max(newest, name);
    }
    return path + "/" + newest;
  };
  std::uint64_t at = 0;
  std::string damaged;
  {
    Store store = value_of(Store::open(path, options));
    for (int i = 0; i < 300; ++i) {
      value_of(store.execute("a" + std::to_string(i), [] { return Bytes("v"); }));
    }
    const ReserveOptions short_lease{.lease = std::chrono::milliseconds(1),
                                     .on_abandon = OnAbandon::rerun};
    value_of(store.reserve("zk", short_lease));
    damaged = log();
    at = std::filesystem::file_size(damaged);
    const ReserveOptions long_lease{.lease = std::chrono::hours(1), .on_abandon = OnAbandon::rerun};
    auto taken = store.reserve("zk", long_lease);
    while (!taken) taken = store.reserve("zk", long_lease);  // busy, and nothing written, so far
    const auto again = std::get<Reservation>(*taken);
    value_of(store.save_checkpoint(again, "step", "output"));
    value_of(store.close());
  }
  std::string bytes = read_file(damaged);
  REQUIRE(bytes.size() > at + 20);
  flip(bytes, at + 20);
  write_file(damaged, bytes);

  const Salvaged salvaged = salvage_of(path, directory.file("fresh"), Layout::directory);
  REQUIRE(salvaged.report);
  CHECK(salvaged.report->rebuilt == 1);
  for (int i = 0; i < 300; ++i) {
    const std::string name = Key("a" + std::to_string(i)).to_string();
    CAPTURE(name);
    CHECK(salvaged.rows.contains({Table::keys, name}));
    CHECK(salvaged.rows.contains({Table::results, name}));
  }
  CHECK(salvaged.rows.contains({Table::keys, Key("zk").to_string()}));
}
