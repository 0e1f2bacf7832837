-- Append records to a cached value with a tail, or remove the value and any lease.
--
-- KEYS[1]  the key of the value
-- ARGV[1]  the maximum of records in the tail
-- ARGV[2…] the records, 24 bytes each
-- returns  1 if the value has the records now, 0 if there is no value any more
--
-- stores/cache/tails.py describes the layout, which begins behind the mark of a value, and says why a
-- record must be newer than all that the base was made from. The TTL stays what it was. Atomic, because
-- a fill between the read and the write would store a base that does not have the change.
--
-- Cost: 3 commands, and the search of a tail of 3 kB for each record. Numbers are compared as two
-- halves, because Lua's numbers lose integers above 2^53, and its strings compare as the locale says.

local call, sub, find, unpack = redis.call, string.sub, string.find, struct.unpack
local MARK, HEADER, RECORD, NAMED = 'V', 17, 24, 16 -- Thing and version name a record.

local function is_greater(high, low, than_high, than_low)
  return high > than_high or (high == than_high and low > than_low)
end

-- Where in the tail the record of this thing and version begins, or nil.
local function place_of(tail, name)
  local at = find(tail, name, 1, true)
  while at and (at - 1) % RECORD ~= 0 do
    at = find(tail, name, at + 1, true)
  end
  return at
end

local function with(tail, record, newest_high, newest_low)
  local high, low, detail_high, detail_low = unpack('>I4I4I4I4', record, 9)
  local at = place_of(tail, sub(record, 1, NAMED))
  if at then
    if is_greater(detail_high, detail_low, unpack('>I4I4', tail, at + NAMED)) then
      return sub(tail, 1, at - 1) .. record .. sub(tail, at + RECORD)
    end
    return tail
  end
  if #tail < ARGV[1] * RECORD and is_greater(high, low, newest_high, newest_low) then
    return tail .. record
  end
  return nil
end

local head = call('GETRANGE', KEYS[1], 0, HEADER - 1)
if sub(head, 1, 1) ~= MARK then
  call('UNLINK', KEYS[1])
  return 0
end
local newest_high, newest_low, _, base_bytes = unpack('>I4I4I4I4', head, 2)
local stored = call('GETRANGE', KEYS[1], HEADER + base_bytes, -1)
local tail = stored
for i = 2, #ARGV do
  tail = with(tail, ARGV[i], newest_high, newest_low)
  if not tail then
    call('UNLINK', KEYS[1])
    return 0
  end
end
if tail ~= stored then
  call('SETRANGE', KEYS[1], HEADER + base_bytes, tail)
end
return 1
