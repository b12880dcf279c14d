// A container: one host file that holds files, made for what RocksDB does with them.
//
//   auto container = Container::open(device, pins, {}).value();
//   auto file = container->create("/once/000004.log").value();
//   container->append(*file, "bytes");
//   container->sync(*file);
//
// Two kinds of files: logs (names in .log, and MANIFEST-*) are made of envelopes, so that a synced
// append is one write and one sync (envelope.h). All others have their size and checksums in the
// journal, after their bytes are on disk (journal.h, file_table.h). docs/formats.md has every byte.
//
// Invariants:
//   1. What was synced is there after any crash; a name is durable after sync_names(); a log is
//      found as a prefix of whole appends, not shorter than what was synced, and a log never holds
//      anything while those before it lack something that they had when it was made. (RocksDB
//      appends to the newest one only.)
//   2. Blocks are used again only when their freeing is durable, nobody has the file open, and no
//      reader in another process can know of it.
//   3. After a failed write or sync nothing is written any more (`poisoned`) until it is opened
//      again, but that a growth which may not have reached the disk is taken back. A full disk is
//      met at allocation, before anything is written, and poisons nothing.
//   4. Opening to read writes nothing.
// Fault model: see device.h. Any byte may be rotten: that is an error that names the place, or the
// copy that is not is used.
//
// Lock order: File::mutex, then mutex_, then sync_mutex_. Against it, under mutex_, only the mutex
// of a file that nobody else can have: begin_writing(), attach_files() and write_again() before
// open() returns, create() before the file is in the table, and reap() when the last handle is
// gone.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "container/allocator.h"
#include "container/device.h"
#include "container/file.h"
#include "container/file_table.h"
#include "container/journal.h"
#include "container/pins.h"
#include "container/superblock.h"

namespace once::container {

struct ContainerOptions {
  bool read_only = false;
  // Makes a container where the device has no byte, or where a creation was cut off.
  bool create_if_missing = true;
  // A damaged log ends before the damage instead of keeping the container from opening. Only with
  // read_only.
  bool keep_prefix = false;
  // Nothing that is wrong with files keeps the container from opening or them from being read, nor
  // frames of the journal that are lost (journal_losses()), and what is said of logs is not looked
  // at: see read_damaged_log(). Only with read_only.
  bool salvage = false;
  // Bytes of each copy of a journal slot, at first; whole blocks.
  std::uint64_t slot_bytes = 32 << 10;
  // The id of a new container; zeros: random.
  std::array<std::uint8_t, 16> store_id{};
  // Milliseconds since 1970, for the times of files; null: the machine's.
  std::function<std::int64_t()> time_ms{};
};

// What fsck found. `problems` is empty for a sound container.
struct FsckReport {
  std::vector<std::string> problems{};
  std::uint64_t files = 0;
  std::uint64_t bytes_checked = 0;  // of files and logs
  std::uint64_t blocks = 0;         // all there are, headers apart
  std::uint64_t blocks_used = 0;    // by files and the journal
  std::uint64_t blocks_free = 0;    // free, or about to be
};

struct SpaceReport {
  std::uint64_t bytes = 0;          // the host file is this long
  std::uint64_t used = 0;           // by files and journal
  std::uint64_t free = 0;           // can be used at once
  std::uint64_t held_back = 0;      // freed, and waiting for a sync, a handle or a reader
  std::uint64_t journal_bytes = 0;  // of all slots and copies
};

// Called now and then with how far something is: done and all of it, in bytes.
using SpaceProgress = std::function<void(std::uint64_t done, std::uint64_t all)>;

// Thread-safe, apart from open() and destruction.
class Container {
 public:
  // Opens what is on the device. Errors: not_a_store, store_missing, newer_format, damaged (naming
  // the place), no_space, io.
  static Result<std::unique_ptr<Container>> open(std::shared_ptr<Device> device,
                                                 std::shared_ptr<Pins> pins,
                                                 const ContainerOptions& options);
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;
  ~Container();

  // True until mark_created(): a creation that is cut off before is made anew.
  [[nodiscard]] bool fresh() const { return fresh_; }
  Result<void> mark_created();
  // Makes everything durable, and what is not known of the logs' ends is. Nothing is to be called
  // afterwards.
  Result<void> close();

  // ---- Names. A null file: there is none of that name. ----

  // Makes a file, in place of one of that name. Errors: not_found (no such directory), no_space...
  Result<std::shared_ptr<File>> create(const std::string& path);
  // Checks what is known of its bytes, once. Errors: damaged.
  Result<std::shared_ptr<File>> open_file(const std::string& path);
  enum class What { none, file, directory };
  [[nodiscard]] What what_is(const std::string& path);
  // nullopt: there is no such directory.
  [[nodiscard]] std::optional<std::vector<std::string>> children(const std::string& path);
  Result<void> remove(const std::string& path);
  Result<void> make_directory(const std::string& path);
  Result<void> remove_directory(const std::string& path);
  Result<void> rename(const std::string& from, const std::string& to);
  Result<void> link(const std::string& existing, const std::string& added);
  [[nodiscard]] std::uint32_t links(const std::string& path);
  [[nodiscard]] std::int64_t modified_ms(const std::string& path);
  // Makes all changes of names durable.
  Result<void> sync_names();

  // ---- Bytes of files ----

  Result<void> append(File& file, std::string_view bytes);
  // Over bytes that are there; not of a log. Not atomic.
  Result<void> overwrite(File& file, std::uint64_t offset, std::string_view bytes);
  // Makes what was appended durable.
  Result<void> sync(File& file);
  // Gives back what was allocated ahead. Nothing is to be appended afterwards.
  Result<void> finish(File& file);
  // Cuts; not a log.
  Result<void> truncate(File& file, std::uint64_t size);
  [[nodiscard]] std::uint64_t size(File& file);
  // Fewer bytes than asked for at the end of the file. Errors: damaged, io.
  Result<std::size_t> read(File& file, std::uint64_t offset, std::size_t length, char* buffer);
  // For a container that was opened to salvage: all that can be told of a log.
  struct DamagedLog {
    Bytes bytes{};          // zeros where something is missing
    Extents missing{};      // of `bytes`; the last one may go on behind them
    std::string problem{};  // what is wrong, and where; empty: nothing
    bool newest = false;    // it has no name, and was made after all WALs that have one
  };
  Result<DamagedLog> read_damaged_log(const std::string& path);
  // Logs that no frame of the journal names, in the order in which they were made: of which frames
  // are lost that made them, or the end of the journal.
  Result<std::vector<DamagedLog>> read_stray_logs();

  // ---- Space ----

  // How many bytes of what stands in the logs are in no table yet, at most. Not called under a
  // lock.
  using Unflushed = std::function<std::uint64_t()>;
  // Whether `bytes` more can be written into logs, and what that entails later. Makes room now,
  // so that a full disk is met before anything is written. `from_reserve`: of what is kept in
  // reserve, too. Errors: no_space, poisoned, io.
  Result<void> admit(std::uint64_t bytes, bool from_reserve = false,
                     const Unflushed& unflushed = {});
  // Makes room, out of the reserve too, for the tables of what stands in logs only. Errors: as
  // admit().
  Result<void> admit_flush(const Unflushed& unflushed = {});
  // While one of these exists, what is kept in reserve may be used: for removing and compacting.
  class CleaningUp {
   public:
    explicit CleaningUp(Container& container) : container_(container) { ++container_.cleaning_; }
    CleaningUp(const CleaningUp&) = delete;
    CleaningUp& operator=(const CleaningUp&) = delete;
    ~CleaningUp() { --container_.cleaning_; }

   private:
    Container& container_;
  };
  [[nodiscard]] SpaceReport space();
  // What could still be written, as far as the disk knows.
  [[nodiscard]] Result<std::uint64_t> space_left();
  // Cuts the free end of the file off, and punches out large free runs. Moves files out of the way
  // where more than half as much is free as is used. Of what was removed no byte is left in the
  // file, apart from what is held back (SpaceReport).
  Result<void> give_back();
  // Moves files towards the beginning, then gives back. Others go on meanwhile.
  Result<void> compact(const SpaceProgress& progress);

  // ---- Looking ----

  // Reads everything there is against its checksum, and accounts for every block.
  Result<FsckReport> fsck(const SpaceProgress& progress);
  // For one that was opened to read: whether the names on the device are still those that were
  // read.
  Result<bool> unchanged();
  [[nodiscard]] const std::string& name() const { return device_->name(); }
  [[nodiscard]] const std::array<std::uint8_t, 16>& store_id() const { return store_id_; }
  // Opened to salvage, though neither superblock could be read.
  [[nodiscard]] bool superblocks_lost() const { return superblocks_lost_; }
  // The same: what of the journal is lost, for people. Files that were made or removed there may be
  // missing, or still there as they were.
  [[nodiscard]] const std::vector<std::string>& journal_losses() const { return journal_losses_; }
  // What of it was lost and cost nothing.
  [[nodiscard]] const std::vector<std::string>& journal_mended() const { return journal_mended_; }
  // Paths of files that were removed and whose making is lost.
  [[nodiscard]] const std::vector<std::string>& removed_unknown() const { return removed_unknown_; }
  [[nodiscard]] bool poisoned() const { return poisoned_.load(); }

 private:
  // Blocks that nobody will use once a few things have happened.
  struct Freed {
    std::shared_ptr<File> file{};  // all of its extents, when nobody else has it any more
    Extents extents{};             // of the file when it was removed; without one, these
    SharedExtents held{};          // not while somebody else holds this
    std::uint64_t sequence = 0;    // of the journal, that freed it
    std::uint64_t epoch = 0;       // of the pins
    bool written = true;           // no holes among the extents
  };

  Container(std::shared_ptr<Device> device, std::shared_ptr<Pins> pins,
            const ContainerOptions& options);

  // Opening, in container_open.cc.
  // To salvage, by the labels of the journal's slots where the superblocks are lost.
  Result<ReadSuperblocks> find_superblocks();
  Result<void> format(const ReadSuperblocks& cut_off);
  Result<void> load() ONCE_REQUIRES(mutex_);
  Result<void> read_journal() ONCE_REQUIRES(mutex_);
  Result<void> claim_all() ONCE_REQUIRES(mutex_);
  Result<void> attach_files() ONCE_REQUIRES(mutex_);
  Result<void> begin_writing() ONCE_REQUIRES(mutex_);
  Result<void> write_again() ONCE_REQUIRES(mutex_);

  // Salvage, in container_salvage.cc.
  Result<void> salvage_files() ONCE_REQUIRES(mutex_);
  // Takes out what a lost frame may have removed and others overwritten.
  void forget_doubtful_files() ONCE_REQUIRES(mutex_);
  // `but_by_sealed`: claims of files that are not known by their bytes do not count.
  [[nodiscard]] Extents unclaimed_blocks(bool but_by_sealed) const ONCE_REQUIRES(mutex_);
  struct LogOnDevice {
    std::uint64_t id = 0;
    Extents extents{};
    std::uint64_t known = 0;  // bytes that it has at least
  };
  Result<DamagedLog> read_damaged_log(const LogOnDevice& log);

  // Journal, in container_journal.cc.
  // Writes the records as one frame, then applies them.
  Result<void> commit(const Records& records, FileTable::Gone* gone) ONCE_REQUIRES(mutex_);
  // Puts a snapshot into the other slot, larger if need be, and makes that one the active one.
  Result<void> turn(std::uint64_t next_payload, bool move) ONCE_REQUIRES(mutex_);
  Result<JournalSlot> new_slot(std::uint64_t length, bool move) ONCE_REQUIRES(mutex_);
  Result<void> write_superblock(Superblock superblock) ONCE_REQUIRES(mutex_);
  Result<void> write(std::uint64_t offset, std::string_view bytes);
  Result<void> sync_device();
  Result<void> check_writable() const;
  Error poison(Error error);
  Result<std::uint64_t> new_id() ONCE_REQUIRES(mutex_);
  [[nodiscard]] std::int64_t time_ms() const;

  // Names, in container_names.cc.
  void drop(FileTable::Gone& gone) ONCE_REQUIRES(mutex_);
  struct LogEnd {
    std::shared_ptr<File> file{};
    LogMark end{};
  };
  // Syncs the logs that are there, and says where they end.
  Result<std::vector<LogEnd>> finish_other_logs(const std::string& path);

  // Bytes, in container_files.cc.
  Result<void> append_to_log(File& file, std::string_view bytes) ONCE_REQUIRES(file.mutex);
  Result<void> make_log_room(File& file, std::uint64_t end) ONCE_REQUIRES(file.mutex);
  static void blank_ahead(File& file, std::uint64_t end) ONCE_REQUIRES(file.mutex);
  Result<void> write_note(File& file, std::uint64_t end) ONCE_REQUIRES(file.mutex);
  // False: that was known.
  static bool set_durable(File& file, const LogMark& end) ONCE_REQUIRES(file.mutex);
  Result<void> append_plain(File& file, std::string_view bytes) ONCE_REQUIRES(file.mutex);
  Result<void> make_room(File& file, std::uint64_t end) ONCE_REQUIRES(file.mutex);
  Result<void> trim(File& file) ONCE_REQUIRES(file.mutex);
  Result<Seal> seal_of(File& file) ONCE_REQUIRES(file.mutex);
  Result<Seal> read_seal(const SharedExtents& extents, std::uint64_t size);
  Result<void> check_seal(File& file) ONCE_REQUIRES(file.mutex);
  Result<std::size_t> read_log(const SharedExtents& extents, const File& file, LogMark mark,
                               std::uint64_t offset, std::size_t length, char* buffer);
  Result<void> record_size(File& file, const Seal& seal) ONCE_REQUIRES(file.mutex);

  // Space, in container_space.cc.
  // In no more than `pieces` of them.
  Result<Extents> allocate(std::uint64_t bytes, const File& file, std::size_t pieces)
      ONCE_REQUIRES(mutex_);
  // What has to stay free when blocks are taken for that file.
  [[nodiscard]] std::uint64_t kept_from(const File& file) const ONCE_REQUIRES(mutex_);
  // Whether a log may take that much ahead. What it has taken and not written to nobody counts: on
  // a disk that is nearly full it would be what its table and who removes were promised.
  [[nodiscard]] bool has_plenty(std::uint64_t bytes) const ONCE_REQUIRES(mutex_);
  // What merging tables may need before the old ones go.
  [[nodiscard]] std::uint64_t rewrite_bytes() const ONCE_REQUIRES(mutex_);
  [[nodiscard]] std::uint64_t pending_bytes(const Unflushed& unflushed) const;
  Result<void> grow(std::uint64_t bytes) ONCE_REQUIRES(mutex_);
  // Cuts the free end off and punches out large free runs, all but the reserve. Of a small store
  // that is `opened_soon`, as by every command, what an opening takes at once need not be cut off
  // now and added again then.
  Result<void> cut_end(bool opened_soon = false);
  // Writes zeros over what is left of old bytes in free blocks and behind the ends of files.
  Result<void> wipe();
  Result<void> wipe_behind(File& file);
  // Gives a free run blocks of its own. Errors: no_space, which poisons nothing.
  Result<void> make_real(const Extent& hole) ONCE_REQUIRES(mutex_);
  // Gives holes blocks, `largest` bytes at once at most, until nothing is lacking or had.
  using Lacking = std::function<Result<std::uint64_t>()>;
  Result<void> fill_holes(std::uint64_t largest, const Lacking& lacking) ONCE_REQUIRES(mutex_);
  // Makes at least so many free bytes real ones: holes first, then growing.
  Result<void> secure(std::uint64_t bytes) ONCE_REQUIRES(mutex_);
  // Looks which free blocks are holes, until that many bytes are known to be there or to be had.
  Result<void> make_holes_real(std::uint64_t bytes) ONCE_REQUIRES(mutex_);
  // The same; on a full disk it does not leave out what was freed and only waits for a sync.
  Result<void> secure_synced(std::uint64_t bytes) ONCE_REQUIRES(mutex_);
  void free_later(Freed freed) ONCE_REQUIRES(mutex_);
  void note_space() ONCE_REQUIRES(mutex_);
  Result<Extent> take_whole(std::uint64_t bytes) ONCE_REQUIRES(mutex_);
  Result<void> zero_fill(const Extents& extents);
  Result<void> reap() ONCE_REQUIRES(mutex_);
  Result<void> reap_synced() ONCE_REQUIRES(mutex_);
  // The oldest epoch that a reader holds; epoch_ + 1 if none does.
  Result<std::uint64_t> oldest_held() ONCE_REQUIRES(mutex_);
  Result<void> begin_pins() ONCE_REQUIRES(mutex_);
  void hold_all_back() ONCE_REQUIRES(mutex_);
  // Kept free for opening, for who removes, and for writing the largest table anew.
  [[nodiscard]] std::uint64_t reserve_bytes() const ONCE_REQUIRES(mutex_);
  [[nodiscard]] std::uint64_t largest_table() const ONCE_REQUIRES(mutex_);
  // What of a file stands behind a limit, and where it can go instead; empty: it cannot.
  struct Move {
    Extents taken{};  // piece by piece in place of ...
    Extents left{};
    Extents after{};  // all of the file then
  };
  Result<Move> plan_move(const Extents& extents, std::uint64_t limit) ONCE_REQUIRES(mutex_);
  Result<bool> move_down(const std::shared_ptr<File>& file, std::uint64_t limit);

  const std::shared_ptr<Device> device_;
  const std::shared_ptr<Pins> pins_;
  const ContainerOptions options_;
  std::array<std::uint8_t, 16> store_id_{};
  std::uint64_t seed_ = 0;
  bool superblocks_lost_ = false;
  std::vector<std::string> journal_losses_{};
  std::vector<std::string> journal_mended_{};
  std::vector<std::string> removed_unknown_{};
  bool fresh_ = false;
  bool closed_ = false;

  Mutex mutex_;
  FileTable table_ ONCE_GUARDED_BY(mutex_);
  Journal journal_ ONCE_GUARDED_BY(mutex_);
  Allocator allocator_ ONCE_GUARDED_BY(mutex_);
  Superblock superblock_ ONCE_GUARDED_BY(mutex_);
  // To salvage: blocks of logs that no file claims, by file.
  std::map<std::uint64_t, Extents> stray_logs_ ONCE_GUARDED_BY(mutex_);
  int spare_ ONCE_GUARDED_BY(mutex_) = 0;  // the copy of the superblock to overwrite first
  std::uint64_t first_id_ ONCE_GUARDED_BY(mutex_) = 0;
  std::uint64_t ids_ ONCE_GUARDED_BY(mutex_) = 0;
  // Logs that were opened, and from where on no envelope says that they are on disk.
  std::vector<std::pair<std::shared_ptr<File>, std::uint64_t>> unvouched_ ONCE_GUARDED_BY(mutex_);
  std::deque<Freed> freed_ ONCE_GUARDED_BY(mutex_);
  std::uint64_t epoch_ ONCE_GUARDED_BY(mutex_) = 0;  // published now
  struct PinPlace {
    std::uint64_t epoch = 0;
    std::uint32_t slot = 0;
  };
  std::deque<PinPlace> pin_places_ ONCE_GUARDED_BY(mutex_);  // that somebody may hold; oldest first
  Extents unwritten_ ONCE_GUARDED_BY(mutex_);                // of what allocate() gave out last
  // Of logs that RocksDB has not let go of: what a flush will need.
  std::atomic<std::uint64_t> log_bytes_{0};
  std::atomic<std::uint64_t> free_estimate_{0};
  // Which free blocks are holes was looked for, see fill_holes().
  bool holes_known_ ONCE_GUARDED_BY(mutex_) = false;
  std::atomic<std::int64_t> credit_{0};  // bytes that admit() lets pass without looking
  std::atomic<int> cleaning_{0};

  Mutex sync_mutex_;
  std::uint64_t synced_ ONCE_GUARDED_BY(sync_mutex_) = 0;  // writes that are on disk
  std::atomic<std::uint64_t> writes_{0};
  std::atomic<std::uint64_t> sequence_{0};          // the journal's
  std::atomic<std::uint64_t> durable_sequence_{0};  // on disk
  std::atomic<bool> poisoned_{false};
  mutable Mutex poison_mutex_;
  std::string poison_ ONCE_GUARDED_BY(poison_mutex_);
};

}  // namespace once::container
