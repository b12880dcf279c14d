// Finding the journal of a container whose superblocks are both lost, by the labels of its slots
// (slot_label.h). For salvage only, which writes nothing: what is found is no substitute for a
// generation, without which ids of files could be used twice.
#pragma once

#include "container/device.h"
#include "container/superblock.h"

namespace once::container {

// Reads all of the device in search of labels, and of the slots that they are of takes the one in
// which the journal goes furthest, behind lost frames too, and the next one as the other: a
// superblock that leads to them.
// Errors: damaged (there is none, or there are labels of several stores), io.
[[nodiscard]] Result<Superblock> find_lost_superblock(Device& device);

}  // namespace once::container
