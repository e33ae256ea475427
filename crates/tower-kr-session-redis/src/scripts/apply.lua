-- Does a delta to a record, all or nothing. A script does not roll back: everything is checked
-- before the first write.

-- For so long Redis keeps a session after its deadline, and at most.
local GRACE, LONGEST = 5 * 60 * 1000, 1e15
-- By so much longer than it must Redis may keep a session: a deadline that moves by less needs no
-- PEXPIRE.
local LEEWAY = 60 * 1000

if not alive then
  return {'missing'}
end

for from = CHUNK + 2, fields + 1, CHUNK do
  for _, value in ipairs(redis.call('HMGET', key, unpack(ARGV, from, math.min(from + CHUNK - 1, fields + 1)))) do
    found[#found + 1] = value
  end
end

local refusal
local changed, rest = false, fields + sets + 2
if operation ~= 0 then
  -- 0: what is stored; 1: nothing; 2: what the delta sets before.
  local current = false
  if current_is == 0 then
    current = found[fields + 2]
  elseif current_is == 2 then
    current, rest = ARGV[rest], rest + 1
  end
  if operation == 1 then
    changed, refusal = sum(current or '0', ARGV[rest])
    rest = rest + 1
  else
    -- What is there begins with an equals sign.
    local expected, new = ARGV[rest], ARGV[rest + 1]
    if (current and '=' .. current or '') ~= expected then
      refusal = {'conflict'}
    end
    changed = new ~= '' and string.sub(new, 2)
    rest = rest + 2
  end
end

local written = {'life', false}
-- Once per touch interval the owner's index is asked whether the session was revoked. A clock may
-- be set back, and what is no number is not near.
local due = #head == 57 and not (math.abs(now - struct.unpack('<d', head, 50)) < touch_interval) or #head == 49
if rest <= #ARGV or due then
  local options = {}
  for argument = rest, #ARGV, 2 do
    options[ARGV[argument]] = ARGV[argument + 1]
  end
  local owner = redis.call('HGET', key, 'owner')
  if options.owner and owner and owner ~= options.owner then
    return {'other_owner'}
  end
  -- What is there begins with an equals sign.
  if options.device then
    local device = redis.call('HGET', key, 'device')
    if (device and '=' .. device or '') ~= options.device_was then
      return {'conflict'}
    end
  end
  local before = head
  if options.rotate then
    written = {'life', false, 'retired', string.sub(head, 2, 33) .. struct.pack('<d', now)}
    head = string.sub(head, 1, 1) .. options.rotate .. string.sub(head, 34)
  end
  if options.idle then
    idle_timeout, touch_interval = struct.unpack('<dd', options.idle)
  end
  if options.absolute_timeout then
    local start = math.max(absolute_deadline - absolute_timeout, -FOREVER)
    absolute_timeout = struct.unpack('<d', options.absolute_timeout)
    absolute_deadline = math.min(start + absolute_timeout, FOREVER)
  end
  if options.owner then
    written[#written + 1] = 'owner'
    written[#written + 1] = options.owner
    absolute_deadline = math.min(now + absolute_timeout, FOREVER)
  end
  if options.label then
    written[#written + 1] = 'label'
    written[#written + 1] = options.label
  end
  if options.device then
    written[#written + 1] = 'device'
    written[#written + 1] = options.device
  end
  -- The index is asked before the record is written: for a sign-in, for another absolute deadline,
  -- and when it is due.
  if not options.index and (options.owner or owner and (options.absolute_timeout or due)) then
    return {'ask', owner or '', before, struct.pack('<d', math.min(absolute_deadline, now + absolute_timeout))}
  end
  -- It has the session (`held`), or gave no answer (`unknown`); then the next call asks again.
  if options.index == 'held' and (options.owner or owner) then
    local authenticated_at = options.authenticated_at or #head > 41 and string.sub(head, 42, 49)
    head = '\3' .. string.sub(head, 2, 41) .. (authenticated_at or struct.pack('<d', math.huge)) .. struct.pack('<d', now)
  end
  if head ~= before then
    written[#written + 1] = 'head'
    written[#written + 1] = head
  end
  if options.persistent then
    persistent = tonumber(options.persistent)
  end
end
if refusal then
  return refusal
end

local removed = {}
if clear == 1 then
  size = 0
end
for position = 1, fields do
  local field, before = ARGV[position + 1], clear == 0 and found[position + 2]
  local value = changed
  if position <= sets then
    value = ARGV[fields + position + 1]
  elseif position < fields or operation == 0 then
    value = false
  end
  if before then
    size = size - #field + 2 - #before
  end
  if value then
    size = size + #field - 2 + #value
    written[#written + 1] = field
    written[#written + 1] = value
  elseif before then
    removed[#removed + 1] = field
  end
end
if fields > 0 or clear == 1 then
  if size < 0 then
    return {'corrupt', 'life'}
  end
  if size > max_bytes then
    return {'too_large', string.format('%.0f', size)}
  end
end

absolute_deadline = math.min(absolute_deadline, now + absolute_timeout)
idle_deadline = math.min(now + idle_timeout + touch_interval, FOREVER)
-- Most writes move the deadline by little: Redis may keep the session longer than it has to, never
-- shorter.
local deadline = math.min(idle_deadline, absolute_deadline)
local expires = deadline > kept_until or deadline + LEEWAY < kept_until
if expires then
  kept_until = math.min(deadline + LEEWAY, FOREVER)
end
life = struct.pack(LIFE, idle_timeout, touch_interval, absolute_timeout, idle_deadline, absolute_deadline, size,
  kept_until, persistent)
written[2] = life

if clear == 1 then
  local stays = {}
  for position = 1, #written, 2 do
    stays[written[position]] = true
  end
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 2) == 'v:' and not stays[field] then
      removed[#removed + 1] = field
    end
  end
end

-- The first write is one that a full server refuses, so that it refuses all or nothing.
for from = 1, #written, CHUNK do
  redis.call('HSET', key, unpack(written, from, math.min(from + CHUNK - 1, #written)))
end
for from = 1, #removed, CHUNK do
  redis.call('HDEL', key, unpack(removed, from, math.min(from + CHUNK - 1, #removed)))
end
if expires then
  redis.call('PEXPIRE', key, string.format('%.0f', math.min(math.max(kept_until - now, 0), LONGEST) + GRACE))
end
-- One text, which takes less than a list: the usual answer.
return 'applied' .. life .. (operation == 1 and changed or '')
