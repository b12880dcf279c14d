// The rows of a closed store behind its back: for tests that tamper with them.
#pragma once

#include <doctest/doctest.h>
#include <rocksdb/db.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/embedded/place.h"
#include "once/bytes.h"
#include "once/row.h"
#include "support/check_result.h"

namespace once::testing {

class RawStore {
 public:
  explicit RawStore(const std::string& path)
      : place_(engine::make_place(path, {.options = {.create_if_missing = false}})) {
    value_of(place_->open_for_writing());
    std::vector<rocksdb::ColumnFamilyDescriptor> families{{"default", {}}};
    for (const char* name : {"keys", "results", "checkpoints", "outbox", "history", "data"}) {
      families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    }
    rocksdb::DB* db = nullptr;
    rocksdb::DBOptions options;
    options.env = place_->env();
    const auto status = rocksdb::DB::Open(options, place_->database(), families, &families_, &db);
    if (!status.ok()) FAIL(status.ToString());
    db_.reset(db);
  }
  RawStore(const RawStore&) = delete;
  RawStore& operator=(const RawStore&) = delete;
  ~RawStore() {
    for (auto* family : families_) db_->DestroyColumnFamilyHandle(family);
    db_.reset();
    CHECK(place_->note_closed().has_value());
  }

  // Table::all stands for the store's own rows.
  void put(Table table, const Bytes& key, const Bytes& value) {
    REQUIRE(db_->Put({}, family(table), key, value).ok());
    REQUIRE(db_->Flush({}, families_).ok());
  }
  void erase(Table table, const Bytes& key) {
    REQUIRE(db_->Delete({}, family(table), key).ok());
    REQUIRE(db_->Flush({}, families_).ok());
  }
  [[nodiscard]] Bytes get(Table table, const Bytes& key) {
    Bytes value;
    REQUIRE(db_->Get({}, family(table), key, &value).ok());
    return value;
  }

 private:
  rocksdb::ColumnFamilyHandle* family(Table table) {
    return families_[static_cast<std::size_t>(table)];
  }

  const std::unique_ptr<engine::Place> place_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;
  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace once::testing
