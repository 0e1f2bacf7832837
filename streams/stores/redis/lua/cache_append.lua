-- Append records to a cached value with a tail, or remove the value and any lease.
--
-- KEYS[1]  the key of the value
-- ARGV[1]  the maximum of records in the tail
-- ARGV[2…] the records, 24 bytes each
-- returns  1 if the value has the records now, 0 if there is no value any more
--
-- stores/cache/tails.py describes the layout, which begins behind the mark and the incarnation of a value,
-- and says why a record must be newer than all that the base was made from. The TTL stays what it was. Atomic,
-- because a fill between the read and the write would store a base that does not have the change.
--
-- Cost: 3 commands, and the search of a tail of 3 kB for each record. Numbers are compared as two
-- halves, because Lua's numbers lose integers above 2^53, and its strings compare as the locale says.

local call, sub, find, unpack = redis.call, string.sub, string.find, struct.unpack
local MARK, RECORD, NUMBER = 'V', 24, 8
local NUMBERS = 17 -- Behind the mark and the incarnation.
local HEADER = NUMBERS + 2 * NUMBER

-- Whether the numbers in `bytes`, from the first one on, are greater than those in `others`.
local function is_greater(bytes, others)
  for at = 1, #others, 4 do
    local half, other = unpack('>I4', bytes, at), unpack('>I4', others, at)
    if half ~= other then
      return half > other
    end
  end
  return false
end

-- Where in the tail the record of this thing begins, or nil.
local function place_of(tail, thing)
  local at = find(tail, thing, 1, true)
  while at and (at - 1) % RECORD ~= 0 do
    at = find(tail, thing, at + 1, true)
  end
  return at
end

-- Returns the tail with the record, or nil if it cannot have it.
local function with(tail, record, newest)
  local at = place_of(tail, sub(record, 1, NUMBER))
  if at then
    if is_greater(record, sub(tail, at, at + RECORD - 1)) then
      return sub(tail, 1, at - 1) .. record .. sub(tail, at + RECORD)
    end
    return tail
  end
  if #tail < ARGV[1] * RECORD and is_greater(sub(record, NUMBER + 1), newest) then
    return tail .. record
  end
  return nil
end

local head = call('GETRANGE', KEYS[1], 0, HEADER - 1)
if sub(head, 1, 1) ~= MARK then
  call('UNLINK', KEYS[1])
  return 0
end
local newest, _, base_bytes = sub(head, NUMBERS + 1, NUMBERS + NUMBER), unpack('>I4I4', head, NUMBERS + NUMBER + 1)
local stored = call('GETRANGE', KEYS[1], HEADER + base_bytes, -1)
local tail = stored
for i = 2, #ARGV do
  tail = with(tail, ARGV[i], newest)
  if not tail then
    call('UNLINK', KEYS[1])
    return 0
  end
end
if tail ~= stored then
  call('SETRANGE', KEYS[1], HEADER + base_bytes, tail)
end
return 1
