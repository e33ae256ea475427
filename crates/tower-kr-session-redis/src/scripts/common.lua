-- More arguments than this at once could exceed Lua's stack. An even number, so that pairs stay together.
local CHUNK = 1000

-- Calls a command with all arguments from the first one on, as many at a time as Lua can pass.
local function call_in_chunks(command, key, arguments, first)
  for from = first, #arguments, CHUNK do
    redis.call(command, key, unpack(arguments, from, math.min(from + CHUNK - 1, #arguments)))
  end
end

-- Milliseconds until then and the grace, for PEXPIRE: it takes no negative number and none that is too large.
local function lifetime(left)
  return string.format('%.0f', math.min(math.max(left, 0), 1e15) + 5 * 60 * 1000)
end
