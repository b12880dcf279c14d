// LMDB in C++: a transaction that writes, as a class.
#pragma once

#include <lmdb.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "usage/usage.h"

namespace once::bench {

inline constexpr std::size_t map_bytes = std::size_t{64} << 30;  // of addresses, not of disk

inline void lmdb_require(int result, const char* what) {
  if (result != MDB_SUCCESS) {
    throw std::runtime_error(std::string("lmdb: ") + what + ": " + mdb_strerror(result));
  }
}

inline MDB_val value_of(std::string_view bytes) {
  return {bytes.size(), const_cast<char*>(bytes.data())};
}
inline std::string_view view(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

struct LmdbShared {
  MDB_env* env = nullptr;
  MDB_dbi keys = 0;
  MDB_dbi rows = 0;
  MDB_dbi events = 0;
  std::atomic<std::uint64_t> token = 0;
};

class LmdbWriting {
 public:
  explicit LmdbWriting(LmdbShared& shared) {
    lmdb_require(mdb_txn_begin(shared.env, nullptr, 0, &txn_), "begin");
  }
  LmdbWriting(const LmdbWriting&) = delete;
  LmdbWriting& operator=(const LmdbWriting&) = delete;
  ~LmdbWriting() {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
  }
  void commit() {
    lmdb_require(mdb_txn_commit(std::exchange(txn_, nullptr)), "commit");
    count_sync();  // the page of the root, by a file opened with O_DSYNC
  }
  std::optional<std::string_view> get(MDB_dbi map, std::string_view key) {
    MDB_val name = value_of(key);
    MDB_val value{};
    const int result = mdb_get(txn_, map, &name, &value);
    if (result == MDB_NOTFOUND) return std::nullopt;
    lmdb_require(result, "get");
    return view(value);
  }
  void put(MDB_dbi map, std::string_view key, std::string_view bytes, unsigned flags = 0) {
    MDB_val name = value_of(key);
    MDB_val value = value_of(bytes);
    lmdb_require(mdb_put(txn_, map, &name, &value, flags), "put");
  }
  MDB_txn* get() { return txn_; }

 private:
  MDB_txn* txn_ = nullptr;
};

}  // namespace once::bench
