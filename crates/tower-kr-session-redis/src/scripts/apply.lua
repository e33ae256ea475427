-- Does a delta to a record, all or nothing. A script does not roll back: everything is checked before the first write.

local key = KEYS[1]
local secret, first_contact, now, max_bytes = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local clear, rotate, owner, authenticated_at = ARGV[5] == '1', ARGV[6], ARGV[7], ARGV[8]
local idle_timeout, touch_interval, absolute_timeout, persistent = ARGV[9], ARGV[10], ARGV[11], ARGV[12]
-- Whether the owner's index has this session: `indexed`, `revoked`, or empty if the caller didn't ask it.
local index = ARGV[13]
local operation, operation_field = ARGV[14], ARGV[15]
local set_count = tonumber(ARGV[20])

local record, refusal = read(key)
if not record then
  return refusal
end
local found = standing(record, secret, first_contact, now)
if found ~= 'admitted' then
  return {found}
end
if index == 'revoked' then
  return {'revoked'}
end
if owner ~= '' and record.owner and record.owner ~= owner then
  return {'other_owner'}
end

-- The changes: a field's new value, or false to remove it.
local edits, fields = {}, {}
local function edit(field, value)
  if edits[field] == nil then
    fields[#fields + 1] = field
  end
  edits[field] = value
end
local argument = 21
for _ = 1, set_count do
  edit(ARGV[argument], ARGV[argument + 1])
  argument = argument + 2
end
for removed = argument, #ARGV do
  edit(ARGV[removed], false)
end

local incremented = ''
if operation ~= '' then
  local current = edits[operation_field]
  if current == nil then
    current = not clear and redis.call('HGET', key, operation_field)
  end
  if operation == 'increment' then
    if current and not is_integer(current) then
      return {'not_an_integer'}
    end
    incremented = sum(current or '0', ARGV[17])
    if not is_integer(incremented) then
      return {'overflow'}
    end
    edit(operation_field, incremented)
  else
    local expected = ARGV[16] == '1' and ARGV[17]
    if current ~= expected then
      return {'conflict'}
    end
    edit(operation_field, ARGV[18] == '1' and ARGV[19])
  end
end

local size = clear and 0 or tonumber(record.size)
if clear or #fields > 0 then
  for _, field in ipairs(fields) do
    local name = #field - #VALUE_PREFIX
    if not clear then
      local stored = redis.call('HSTRLEN', key, field)
      if stored > 0 or redis.call('HEXISTS', key, field) == 1 then
        size = size - name - stored
      end
    end
    if edits[field] then
      size = size + name + #edits[field]
    end
  end
  if size < 0 then
    return {'corrupt', 'size'}
  end
  if size > tonumber(max_bytes) then
    return {'too_large', string.format('%.0f', size)}
  end
end

-- A later absolute deadline must be in the owner's index before it is in the record.
if absolute_timeout ~= '' and record.owner and index == '' then
  return {'owned', record.owner}
end

local head = {}
local function write(name, value)
  record[name] = value
  head[#head + 1] = name
  head[#head + 1] = value
end
if rotate ~= '' then
  write('retired', record.secret)
  write('retired_at', now)
  write('secret', rotate)
end
if idle_timeout ~= '' then
  write('idle_timeout', idle_timeout)
  write('touch_interval', touch_interval)
end
if absolute_timeout ~= '' then
  record.absolute_deadline =
    saturating_add(saturating_subtract(record.absolute_deadline, record.absolute_timeout), absolute_timeout)
  write('absolute_timeout', absolute_timeout)
end
local latest = saturating_add(now, record.absolute_timeout)
if owner ~= '' then
  write('owner', owner)
  write('authenticated_at', authenticated_at)
  record.absolute_deadline = latest
end
write('absolute_deadline', earlier(record.absolute_deadline, latest))
local idle_deadline = saturating_add(saturating_add(now, record.idle_timeout), record.touch_interval)
write('idle_deadline', earlier(idle_deadline, record.absolute_deadline))
write('size', string.format('%.0f', size))
if persistent == '1' then
  write('persistent', '1')
end

local removed = {}
if clear then
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, #VALUE_PREFIX) == VALUE_PREFIX then
      removed[#removed + 1] = field
    end
  end
end
for _, field in ipairs(fields) do
  if edits[field] then
    head[#head + 1] = field
    head[#head + 1] = edits[field]
  elseif not clear then
    removed[#removed + 1] = field
  end
end
if persistent == '0' then
  record.persistent = nil
  removed[#removed + 1] = 'persistent'
end

-- The first write is one that a full server refuses, so that it refuses all or nothing.
redis.call('HSET', key, 'version', record.version)
call_in_chunks('HDEL', key, removed)
call_in_chunks('HSET', key, head)
redis.call('PEXPIRE', key, lifetime(now, record.idle_deadline))
return {
  'applied', incremented, record.idle_timeout, record.touch_interval, record.idle_deadline, record.absolute_deadline,
  record.persistent or '0',
}
