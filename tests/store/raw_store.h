// The rows of a closed store behind its back: for tests that tamper with them.
#pragma once

#include <doctest/doctest.h>
#include <rocksdb/db.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "once/bytes.h"
#include "once/row.h"

namespace once::testing {

class RawStore {
 public:
  explicit RawStore(const std::string& path) : path_(path) {
    std::vector<rocksdb::ColumnFamilyDescriptor> families{{"default", {}}};
    for (const char* name : {"keys", "results", "checkpoints", "outbox", "history", "data"}) {
      families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    }
    rocksdb::DB* db = nullptr;
    const auto status = rocksdb::DB::Open({}, path, families, &families_, &db);
    if (!status.ok()) FAIL(status.ToString());
    db_.reset(db);
  }
  RawStore(const RawStore&) = delete;
  RawStore& operator=(const RawStore&) = delete;
  ~RawStore() {
    for (auto* family : families_) db_->DestroyColumnFamilyHandle(family);
    db_.reset();
    // The list of logs that the store had is not right any more.
    std::filesystem::remove(path_ + "/ONCE.files");
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

  const std::string path_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;
  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace once::testing
