// Where RocksDB keeps the files of a store: one file, a directory, or memory. What the engine has
// to know of it is here, so that the engine is the same over all of them.
//
//   auto engine = EmbeddedEngine::open(make_place("payments.once", {.options = options}), options);
//
// A place is used either to write or to read.
//
// To write: open_for_writing(), then RocksDB; for a fresh() one mark_created() when the store is
// whole; when RocksDB has closed, note_closed() if all went well; then unlock().
// To read: begin_reading(), then RocksDB, then saw_one_state(); if that is false RocksDB is closed
// and all of it done again.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "container/device.h"
#include "engine/engine.h"
#include "once/error.h"
#include "once/options.h"

namespace once::engine {

// Called with what is wrong.
using Problem = std::function<void(std::string)>;

struct FreeBytes {
  std::uint64_t free = 0;  // can be used, or given back
  std::uint64_t held_back =
      0;  // will be free when a reader, or whoever reads a file, lets go of it
};

// Opened, read and closed by one thread; the rest may be called from many. Nothing has a default,
// so that a place that stands for another one cannot leave anything out.
class Place {
 public:
  Place() = default;
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  // Unlocks. RocksDB must have been closed.
  virtual ~Place() = default;

  // For messages: the path that the user gave, or that it is in memory.
  [[nodiscard]] virtual const std::string& name() const = 0;
  // What RocksDB runs on, and what it calls the store there. Valid after open_for_writing(), and
  // after each begin_reading() until the next one.
  [[nodiscard]] virtual rocksdb::Env* env() = 0;
  [[nodiscard]] virtual const std::string& database() const = 0;

  // Looks whether there is a store or may be one, locks it, and checks what RocksDB does not.
  // Nothing is changed where an error is given. Errors: store_locked, not_a_store, newer_format,
  // store_missing, damaged, permission, no_space, io.
  virtual Result<void> open_for_writing() = 0;
  // True until mark_created(): nothing in it counts yet, and whoever opens it throws it away.
  [[nodiscard]] virtual bool fresh() const = 0;
  // Makes it a store, durably.
  virtual Result<void> mark_created() = 0;
  // How many logs RocksDB will replay.
  [[nodiscard]] virtual std::size_t logs() const = 0;
  // All that RocksDB had to write is written: notes what the next opening can check.
  virtual Result<void> note_closed() = 0;
  // Gives it the path `path`, where nothing may be but an empty directory for a directory, durably.
  // When RocksDB has closed, and locked still, so that nobody takes what is not in its place yet
  // for a leftover. Errors: invalid_argument (something is there), permission, no_space, io.
  virtual Result<void> move_to(const std::string& path) = 0;
  // Lets others open it to write.
  virtual void unlock() = 0;

  // Looks at it without a lock. Errors: as open_for_writing(); what they tell is true only if
  // saw_one_state(false).
  virtual Result<void> begin_reading() = 0;
  // False if the writer has changed files since begin_reading() so that what RocksDB saw, opening
  // them one after the other, counts for nothing: when it has `opened` them, because it may lack
  // what was acknowledged; when it has not, because that may be why.
  [[nodiscard]] virtual bool saw_one_state(bool opened) = 0;

  // Makes sure that a commit of so many bytes will find room, with what it entails later; with
  // `from_reserve` it may take of what is kept for removing and settling. Errors: no_space (nothing
  // was changed, and RocksDB knows nothing of it), poisoned, io.
  // `unflushed`: how many bytes of what stands in logs are in no table yet, at most; asked only
  // when it matters.
  using Unflushed = std::function<std::uint64_t()>;
  virtual Result<void> admit(std::size_t bytes, bool from_reserve, const Unflushed& unflushed) = 0;
  // The same for the tables of what stands in logs only, out of the reserve too.
  virtual Result<void> admit_flush(const Unflushed& unflushed) = 0;
  // Whether it can tell at all; otherwise admit() always does.
  [[nodiscard]] virtual bool knows_room() const = 0;

  // Bytes on disk; 0 in memory.
  [[nodiscard]] virtual std::uint64_t bytes() = 0;
  // Of these, what is free within.
  [[nodiscard]] virtual FreeBytes free_bytes() = 0;
  // Gives the disk back what is free within. Errors: poisoned, io.
  virtual Result<void> give_back() = 0;
  // Moves what is there together, so that all that is free can be given back. Others go on
  // meanwhile. Errors: no_space, poisoned, io.
  virtual Result<void> compact(const Progress& progress) = 0;
  // While what this returns lives, RocksDB may use what is kept in reserve: for opening, removing,
  // compacting, and going on after a full disk. Not after unlock().
  [[nodiscard]] virtual std::shared_ptr<void> clean_up() = 0;
  // Checks what RocksDB's own check does not see. Errors: io.
  virtual Result<CheckedBytes> check_bytes(const Progress& progress, const Problem& problem) = 0;
  // What can be done about damage, for messages: whole sentences.
  [[nodiscard]] virtual std::string advice_on_damage() const = 0;
};

struct PlaceConfig {
  Options options{};
  // Where the files of a directory live; null: the machine's file system.
  std::shared_ptr<rocksdb::FileSystem> file_system{};
  // For a copy: throws away what is there already, if it is a store or the rest of one, and is none
  // itself before finish_import().
  bool discard = false;
  // Instead of the file of a container, for tests; null: the file at the path.
  std::shared_ptr<container::Device> device{};
};

// The layout of what is at `path`, whether it is a store or not; none if nothing is there.
[[nodiscard]] std::optional<Layout> layout_at(const std::string& path);
// The place at `path`: in the layout of what is there, or else in that of the options.
[[nodiscard]] std::unique_ptr<Place> make_place(const std::string& path, const PlaceConfig& config);
[[nodiscard]] std::unique_ptr<Place> make_directory_place(const std::string& path,
                                                          const PlaceConfig& config);
[[nodiscard]] std::unique_ptr<Place> make_file_place(const std::string& path,
                                                     const PlaceConfig& config);
// A store of its own in memory.
[[nodiscard]] std::unique_ptr<Place> make_memory_place();

}  // namespace once::engine
