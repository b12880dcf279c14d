// Tables of RocksDB, whole and damaged: what is sound of them is found, and RocksDB finds it too
// when it is shown the patches.
#include "engine/salvage/damaged_table.h"

#include <doctest/doctest.h>
#include <rocksdb/db.h>
#include <rocksdb/file_system.h>
#include <rocksdb/sst_file_reader.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "engine/embedded/rocksdb_options.h"

using namespace once;
using namespace once::engine;

namespace {

using Rows = std::map<Bytes, Bytes>;

struct Made {
  Bytes file;
  Rows rows;
};

// What the store's options make of these rows, and of the removal of these keys.
Made make_table(const Rows& rows, const std::set<Bytes>& removed = {}) {
  const std::unique_ptr<rocksdb::Env> env(rocksdb::NewMemEnv(rocksdb::Env::Default()));
  rocksdb::DBOptions db_options = database_options({}, env.get(), 0);
  db_options.create_if_missing = db_options.create_missing_column_families = true;
  const auto families = family_descriptors({}, make_expiry_filters());
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  REQUIRE(rocksdb::DB::Open(db_options, "/db", families, &handles, &opened).ok());
  const std::unique_ptr<rocksdb::DB> db(opened);
  auto* family = handles[static_cast<std::size_t>(Table::data)];
  for (const auto& [key, value] : rows) REQUIRE(db->Put({}, family, key, value).ok());
  for (const Bytes& key : removed) REQUIRE(db->Delete({}, family, key).ok());
  REQUIRE(db->Flush({}, family).ok());
  std::vector<rocksdb::LiveFileMetaData> files;
  db->GetLiveFilesMetaData(&files);
  REQUIRE(files.size() == 1);
  Made made{.file = {}, .rows = rows};
  REQUIRE(rocksdb::ReadFileToString(env.get(), "/db" + files[0].name, &made.file).ok());
  for (const Bytes& key : removed) made.rows.erase(key);
  for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
  return made;
}

Rows numbered_rows(int count, std::size_t value_bytes) {
  Rows rows;
  std::mt19937 random(7);
  for (int i = 0; i < count; ++i) {
    std::string key = std::to_string(1'000'000 + i * 3);
    Bytes value(value_bytes, 'v');
    // Half of it does not compress.
    for (std::size_t at = 0; at < value.size() / 2; ++at) value[at] = static_cast<char>(random());
    rows[key] = value;
  }
  return rows;
}

DamagedTable look_at(const Bytes& file) {
  return {[&file](std::uint64_t offset, std::uint64_t length) -> Result<Bytes> {
            return offset < file.size() ? file.substr(offset, length) : Bytes();
          },
          file.size()};
}

// All that its sound blocks hold.
Rows rows_in(const DamagedTable& table) {
  Rows rows;
  for (const TableBlock& block : table.blocks()) {
    const auto found = table.rows(block);
    if (!found) continue;
    REQUIRE(visit_rows(*found, [&](const TableRow& row) {
      if (!row.removed) rows[Bytes(row.key)] = Bytes(row.value);
    }));
  }
  return rows;
}

// As the file system shows it.
Bytes patched(const Bytes& file, const DamagedTable& table) {
  Bytes shown = file;
  for (const auto& [offset, bytes] : table.patches()) {
    if (shown.size() < offset + bytes.size()) shown.resize(offset + bytes.size());
    shown.replace(offset, bytes.size(), bytes);
  }
  return shown;
}

class TwoSizes final : public rocksdb::FileSystemWrapper {
 public:
  TwoSizes(const std::shared_ptr<rocksdb::FileSystem>& target, std::uint64_t size)
      : FileSystemWrapper(target), size_(size) {}
  const char* Name() const override { return "TwoSizes"; }
  rocksdb::IOStatus GetFileSize(const std::string&, const rocksdb::IOOptions&, std::uint64_t* size,
                                rocksdb::IODebugContext*) override {
    *size = size_;
    return rocksdb::IOStatus::OK();
  }

 private:
  const std::uint64_t size_;
};

// A reader of RocksDB over the table with its patches, of which the size is that of the file.
class Reader {
 public:
  Reader(const Bytes& file, const DamagedTable& table) {
    REQUIRE(rocksdb::WriteStringToFile(memory_.get(), patched(file, table), "/table.sst").ok());
    env_ =
        rocksdb::NewCompositeEnv(std::make_shared<TwoSizes>(memory_->GetFileSystem(), file.size()));
    options_ = rocksdb::Options(database_options({}, env_.get(), 0),
                                family_descriptors({}, make_expiry_filters())[0].options);
    reader_ = std::make_unique<rocksdb::SstFileReader>(options_);
    status = reader_->Open("/table.sst");
  }
  std::unique_ptr<rocksdb::Iterator> iterator() {
    return std::unique_ptr<rocksdb::Iterator>(reader_->NewIterator({}));
  }
  // The rows from the start up to the first damage.
  Rows rows() {
    Rows found;
    const auto at = iterator();
    for (at->SeekToFirst(); at->Valid(); at->Next()) {
      found[at->key().ToString()] = at->value().ToString();
    }
    status = at->status();
    return found;
  }
  // The value of a key; nullopt: it is not there, or refused, which `status` tells.
  std::optional<Bytes> find(const Bytes& key) {
    const auto at = iterator();
    at->Seek(key);
    status = at->status();
    if (!at->Valid() || at->key() != rocksdb::Slice(key)) return std::nullopt;
    return at->value().ToString();
  }

  rocksdb::Status status;

 private:
  const std::unique_ptr<rocksdb::Env> memory_{rocksdb::NewMemEnv(rocksdb::Env::Default())};
  std::unique_ptr<rocksdb::Env> env_;
  rocksdb::Options options_;
  std::unique_ptr<rocksdb::SstFileReader> reader_;
};

void flip(Bytes& file, std::size_t at) {
  file[at] = static_cast<char>(file[at] ^ 0x10);
}

}  // namespace

TEST_CASE("a whole table: all of its rows, and nothing to patch") {
  const Made made = make_table(numbered_rows(500, 100), {"1000003", "1000600"});
  const DamagedTable table = look_at(made.file);
  CHECK(table.opens());
  CHECK(table.patches().empty());
  CHECK(table.blocks().size() > 5);
  REQUIRE(table.facts());
  CHECK(table.facts()->family == static_cast<std::uint32_t>(Table::data));
  CHECK(table.facts()->entries == 500);
  CHECK(rows_in(table) == made.rows);
}

TEST_CASE("a flipped byte in a data block: the rows of all others") {
  const Made made = make_table(numbered_rows(500, 100));
  const DamagedTable whole = look_at(made.file);
  for (const TableBlock& block : whole.blocks()) {
    const auto lost = whole.rows(block);
    REQUIRE(lost);
    Rows expected = made.rows;
    REQUIRE(visit_rows(*lost, [&](const TableRow& row) { expected.erase(Bytes(row.key)); }));
    for (const std::uint64_t at : {std::uint64_t{0}, block.length / 2, block.length - 1}) {
      Bytes file = made.file;
      flip(file, block.offset + at);
      const DamagedTable table = look_at(file);
      CHECK(table.opens());
      CHECK(rows_in(table) == expected);
    }
  }
}

TEST_CASE("every byte of what leads to the data blocks: all rows, for RocksDB too") {
  const Made made = make_table(numbered_rows(200, 100), {"1000003"});
  const DamagedTable whole = look_at(made.file);
  const std::size_t end = whole.blocks().back().offset + whole.blocks().back().length;
  std::size_t refused = 0;
  for (std::size_t at = end; at < made.file.size(); ++at) {
    CAPTURE(at);
    Bytes file = made.file;
    flip(file, at);
    const DamagedTable table = look_at(file);
    REQUIRE(rows_in(table) == made.rows);
    refused += table.opens() ? 0 : 1;
    Reader reader(file, table);
    REQUIRE(reader.status.ok());
    REQUIRE(reader.rows() == made.rows);
    REQUIRE(reader.status.ok());
  }
  // Index, properties, metaindex and footer, without the filter and the footer's padding.
  CHECK(refused > 500);
}

TEST_CASE("index and data block both: RocksDB gives every row but those of the block") {
  const Made made = make_table(numbered_rows(500, 100));
  const DamagedTable whole = look_at(made.file);
  const std::size_t data_end = whole.blocks().back().offset + whole.blocks().back().length;
  for (const bool properties_too : {false, true}) {
    for (const std::size_t victim : {std::size_t{0}, std::size_t{3}, whole.blocks().size() - 1}) {
      CAPTURE(properties_too);
      CAPTURE(victim);
      Bytes file = made.file;
      const TableBlock& block = whole.blocks()[victim];
      flip(file, block.offset + block.length / 2);
      std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(data_end), 300, '\x55');
      if (properties_too) {
        std::fill(file.begin() + static_cast<std::ptrdiff_t>(data_end), file.end(), '\x55');
      } else {
        flip(file, file.size() - 20);
        flip(file, file.size() - 50);
      }
      const DamagedTable table = look_at(file);
      REQUIRE_FALSE(table.opens());
      std::set<Bytes> lost;
      REQUIRE(visit_rows(*whole.rows(block),
                         [&](const TableRow& row) { lost.insert(Bytes(row.key)); }));
      Rows expected = made.rows;
      for (const Bytes& key : lost) expected.erase(key);
      CHECK(rows_in(table) == expected);
      Reader reader(file, table);
      REQUIRE(reader.status.ok());
      std::size_t refused = 0;
      for (const auto& [key, value] : made.rows) {
        const auto found = reader.find(key);
        if (lost.contains(key)) {
          REQUIRE(reader.status.IsCorruption());
        } else if (!reader.status.ok()) {
          ++refused;  // newer rows of it might be in the block before
        } else {
          REQUIRE(found == value);
        }
      }
      CHECK(refused <= 1);
    }
  }
}

TEST_CASE("without an index, large values and empty ones") {
  Rows rows = numbered_rows(20, 200'000);
  for (auto& [key, value] : numbered_rows(50, 0)) rows["empty " + key] = "";
  Made made = make_table(rows);
  const std::size_t end = made.file.size();
  std::fill_n(made.file.end() - 53, 53, '\0');
  const DamagedTable table = look_at(made.file);
  CHECK_FALSE(table.opens());
  CHECK(made.file.size() == end);
  CHECK(rows_in(table) == made.rows);
  Reader reader(made.file, table);
  CHECK(reader.rows() == made.rows);
}

TEST_CASE("whatever the bytes are: rows that were written, or none") {
  const Made made = make_table(numbered_rows(100, 60), {"1000003"});
  std::mt19937 random(3);
  const auto at_most = [&](std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(0, most)(random);
  };
  for (int round = 0; round < 300; ++round) {
    Bytes file = made.file;
    switch (round % 4) {
      case 0:  // cut
        file.resize(at_most(file.size()));
        break;
      case 1:  // a hole
        std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(at_most(file.size() / 2)),
                    file.size() / 4, '\0');
        break;
      case 2:  // many bytes
        for (int i = 0; i < 30; ++i) flip(file, at_most(file.size() - 1));
        break;
      default:  // none of it
        for (char& byte : file) byte = static_cast<char>(random());
    }
    CAPTURE(round);
    const DamagedTable table = look_at(file);
    for (const auto& [key, value] : rows_in(table)) {
      const auto known = made.rows.find(key);
      REQUIRE(known != made.rows.end());
      REQUIRE(known->second == value);
    }
    Reader reader(file, table);
    if (!reader.status.ok()) continue;
    for (const auto& [key, value] : reader.rows()) REQUIRE(made.rows.at(key) == value);
  }
}
