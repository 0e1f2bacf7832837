#!lua flags=allow-cross-slot-keys
-- Append fresh photos to those timelines of many owners that exist.
--
-- KEYS     none, or the only key that the call uses; all are keys of this server
-- ARGV     in turns: the prefix of keys of timelines, photo ids, minted less than fresh_s_max ago, and
--          the owners who get them; ids are packed, 8 bytes each, big-endian; at most append_owners_max
--          owners in all
-- returns  how many deliveries that were: for each timeline that exists, the number of its photos
--
-- core/ring.py describes the layout. Photos are written behind the header, where one read and one
-- write reach both. When that first block is full, it moves to the place of the oldest block, and
-- the floor rises to the greatest photo that it overwrites. So a value is never trimmed and never
-- grows. Readers sort and remove duplicates, so redelivery is harmless. Cost: 2 commands an owner,
-- and 3 more for every 8 photos. One script, because one round trip an owner would cost ten times
-- that.
--
-- A timeline that an older version wrote has a smaller number in the header. Its slots are the same
-- bytes: the slot that it would have written next shows which block is the oldest.
--
-- Keys are built here from packed ids, and ids are compared as two halves, because Lua's
-- numbers lose integers above 2^53.

local call, sub, pack, unpack = redis.call, string.sub, struct.pack, struct.unpack
local BLOCK, ID, MARK = 8, 8, 2147483648 -- MARK is 2^31.
local FLOOR, HEADER = 16, 24
local FIRST = HEADER + BLOCK * ID -- The bytes of the header and the first block.
local BLOCK_FORMAT = '>' .. string.rep('I4I4', BLOCK)

local function slots_of(key)
  return (call('STRLEN', key) - HEADER) / ID
end

local function arrivals_of(key, head)
  local number = unpack('>I4', head)
  if number >= MARK then
    return number - MARK
  end
  local next_slot = number % slots_of(key)
  return (math.ceil(math.max(0, next_slot - BLOCK) / BLOCK) + 1) * BLOCK
end

-- Copy the first block to the place of the oldest one; returns the head with the new floor.
local function keep_first_block(key, head, arrivals)
  local blocks = math.floor(slots_of(key) / BLOCK) - 1 -- Those behind the first one.
  local place = FIRST + (arrivals / BLOCK - 1) % blocks * BLOCK * ID
  local overwritten = call('GETRANGE', key, place, place + BLOCK * ID - 1)
  call('SETRANGE', key, place, sub(head, HEADER + 1))
  local floor_high, floor_low = unpack('>I4I4', head, FLOOR + 1)
  local halves = { unpack(BLOCK_FORMAT, overwritten) }
  for at = 1, 2 * BLOCK, 2 do
    local high, low = halves[at], halves[at + 1]
    if high > floor_high or (high == floor_high and low > floor_low) then
      floor_high, floor_low = high, low
    end
  end
  return sub(head, 1, FLOOR) .. pack('>I4I4', floor_high, floor_low) .. sub(head, HEADER + 1)
end

local function append(key, head, photos)
  local arrivals = arrivals_of(key, head)
  local at = 1
  repeat
    local used = arrivals % BLOCK
    if used == 0 and arrivals > 0 then
      head = keep_first_block(key, head, arrivals)
    end
    local some, slot = sub(photos, at, at + (BLOCK - used) * ID - 1), HEADER + used * ID
    arrivals, at = arrivals + #some / ID, at + #some
    head = pack('>I4', MARK + arrivals) .. sub(head, 5, slot) .. some .. sub(head, slot + #some + 1)
  until at > #photos
  call('SETRANGE', key, 0, head)
end

local deliveries = 0
for argument = 1, #ARGV, 3 do
  local prefix, photos, owners = ARGV[argument], ARGV[argument + 1], ARGV[argument + 2]
  for at = 1, #owners, ID do
    local key = prefix .. sub(owners, at, at + ID - 1)
    local head = call('GETRANGE', key, 0, FIRST - 1)
    if head ~= '' then -- The other owners do not read.
      append(key, head, photos)
      deliveries = deliveries + #photos / ID
    end
  end
end

return deliveries
