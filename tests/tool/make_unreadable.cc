// Gives an event's row the layout of a newer version, behind the back of a store that nobody uses:
//
//   make_unreadable STORE SEQUENCE
#include <rocksdb/db.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "engine/embedded/place.h"
#include "model/key_codec.h"

namespace {

using namespace once;

constexpr char newer_layout = 9;

bool make_unreadable(const std::string& path, std::uint64_t sequence) {
  const auto place = engine::make_place(path, {.options = {.create_if_missing = false}});
  if (!place->open_for_writing()) return false;
  std::vector<rocksdb::ColumnFamilyDescriptor> families{{"default", {}}};
  for (const char* name : {"keys", "results", "checkpoints", "outbox", "history", "data"}) {
    families.emplace_back(name, rocksdb::ColumnFamilyOptions());
  }
  rocksdb::DB* opened = nullptr;
  rocksdb::DBOptions options;
  options.env = place->env();
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  if (!rocksdb::DB::Open(options, place->database(), families, &handles, &opened).ok()) {
    return false;
  }
  std::unique_ptr<rocksdb::DB> db(opened);
  auto* const outbox = handles[static_cast<std::size_t>(Table::outbox)];
  const Bytes row = model::encode_sequence(sequence);
  Bytes value;
  bool done = db->Get({}, outbox, row, &value).ok() && !value.empty();
  if (done) {
    value[0] = newer_layout;
    done = db->Put({}, outbox, row, value).ok() && db->Flush({}, handles).ok();
  }
  for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
  db.reset();
  return place->note_closed().has_value() && done;
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 3 && make_unreadable(arguments[1], std::stoull(arguments[2]))) return 0;
  std::cerr << "make_unreadable STORE SEQUENCE failed\n";
  return 1;
}
