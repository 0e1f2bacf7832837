#!lua flags=allow-cross-slot-keys
-- Insert late photos by id into those timelines of many owners that exist.
--
-- KEYS     none, or the only key that the call uses; all are keys of this server
-- ARGV     in turns: the prefix of keys of timelines, photo ids, ascending, and the owners who get them;
--          ids are packed, 8 bytes each, big-endian; owners times photos are at most insert_ids_max in all
-- returns  how many deliveries that were: for each timeline that exists, the number of its photos
--
-- core/ring.py describes the layout, and its `inserted` makes the same bytes. A photo that is not above
-- the floor, or is in the ring, changes nothing. The photos that are newer move by one slot, so that the
-- ring stays in order. Cost: 2 commands for a photo that belongs in the first block, at most 4 for others.
-- One script, because an append between the read and the write would be lost.
--
-- Ids are compared as two halves, because Lua's numbers lose integers above 2^53.

local call, sub, find, pack, unpack = redis.call, string.sub, string.find, struct.pack, struct.unpack
local BLOCK, ID, MARK = 8, 8, 2147483648 -- MARK is 2^31.
local VERSION, TOKEN, FLOOR, HEADER = 4, 8, 16, 24
local BLOCK_BYTES = BLOCK * ID
local FIRST = HEADER + BLOCK_BYTES -- The bytes of the header and the first block.
local SKIPPED = 3 -- Photos of the same months share the first bytes of their ids.

local function is_newer(high, low, value, offset)
  local other_high, other_low = unpack('>I4I4', value, offset + 1)
  return high > other_high or (high == other_high and low > other_low)
end

local function has(value, photo)
  local searched, from = sub(photo, SKIPPED + 1), HEADER + 1
  repeat
    local at = find(value, searched, from, true)
    if at and (at - SKIPPED - HEADER - 1) % ID == 0 and sub(value, at - SKIPPED, at - 1) == sub(photo, 1, SKIPPED) then
      return true
    end
    from = at and at + 1
  until not at
  return false
end

local function arrivals_of(value)
  local number = unpack('>I4', value)
  if number >= MARK then
    return number - MARK
  end
  -- An older version wrote it, see timeline_append.lua.
  local next_slot = number % ((#value - HEADER) / ID)
  return (math.ceil(math.max(0, next_slot - BLOCK) / BLOCK) + 1) * BLOCK
end

-- Find the number, by arrival, of the first photo from `oldest` on that is newer.
local function place_of(value, high, low, oldest, arrivals, in_blocks, size)
  local from, to = oldest, arrivals
  while from < to do
    local middle = math.floor((from + to) / 2)
    local offset = FIRST + middle * ID % size
    if middle >= in_blocks then
      offset = HEADER + (middle - in_blocks) * ID
    end
    if is_newer(high, low, value, offset) then
      from = middle + 1
    else
      to = middle
    end
  end
  return from
end

-- Returns the floor after the block at `offset` is overwritten, packed.
local function floor_without(value, offset)
  local floor = sub(value, FLOOR + 1, HEADER)
  for at = offset, offset + BLOCK_BYTES - ID, ID do
    local high, low = unpack('>I4I4', value, at + 1)
    if is_newer(high, low, floor, 0) then
      floor = sub(value, at + 1, at + ID)
    end
  end
  return floor
end

-- Write `photo` as the photo of number `place`; those from there on move by one.
local function write(key, value, photo, place, arrivals, in_blocks, size)
  local floor, first_number = sub(value, FLOOR + 1, HEADER), in_blocks
  if arrivals == in_blocks + BLOCK then
    floor = floor_without(value, FIRST + in_blocks * ID % size)
    first_number = arrivals
  end
  local start = math.min(place, in_blocks)
  local offset, bytes = FIRST + start * ID % size, (in_blocks - start) * ID
  local photos = sub(value, offset + 1, math.min(offset + bytes, #value))
  photos = photos .. sub(value, FIRST + 1, FIRST + bytes - #photos) -- The blocks are a ring.
  photos = photos .. sub(value, HEADER + 1, HEADER + (arrivals - in_blocks) * ID)
  photos = sub(photos, 1, (place - start) * ID) .. photo .. sub(photos, (place - start) * ID + 1)

  bytes = (first_number - start) * ID
  local first = sub(photos, bytes + 1)
  local head = pack('>I4', MARK + arrivals + 1) .. sub(value, VERSION + 1, FLOOR) .. floor .. first
  call('SETRANGE', key, 0, head)
  if bytes > 0 then
    local until_end = math.min(bytes, #value - offset)
    call('SETRANGE', key, offset, sub(photos, 1, until_end))
    if bytes > until_end then
      call('SETRANGE', key, FIRST, sub(photos, until_end + 1, bytes))
    end
  end
end

-- The photo is older than all but the block that is overwritten next, so it is overwritten at once.
local function raise_floor(key, value, photo)
  local version = (unpack('>I4', value, VERSION + 1) + 1) % (2 * MARK)
  call('SETRANGE', key, VERSION, pack('>I4', version) .. sub(value, TOKEN + 1, FLOOR) .. photo)
end

local function insert(key, value, photo)
  local high, low = unpack('>I4I4', photo)
  if not is_newer(high, low, value, FLOOR) or has(value, photo) then
    return
  end
  local arrivals = arrivals_of(value)
  local in_blocks = math.floor(math.max(0, arrivals - 1) / BLOCK) * BLOCK -- The first block has the others.
  local size = #value - FIRST
  local oldest = math.max(0, in_blocks - size / ID)
  local place = place_of(value, high, low, oldest, arrivals, in_blocks, size)
  local is_full = arrivals == in_blocks + BLOCK and in_blocks * ID >= size
  if is_full and place < oldest + BLOCK then
    raise_floor(key, value, photo)
  else
    write(key, value, photo, place, arrivals, in_blocks, size)
  end
end

local deliveries = 0
for argument = 1, #ARGV, 3 do
  local prefix, photos, owners = ARGV[argument], ARGV[argument + 1], ARGV[argument + 2]
  for at = 1, #owners, ID do
    local key = prefix .. sub(owners, at, at + ID - 1)
    for number = 1, #photos, ID do
      local value = call('GET', key)
      if not value then -- The owner does not read.
        break
      end
      insert(key, value, sub(photos, number, number + ID - 1))
      deliveries = deliveries + 1
    end
  end
end

return deliveries
