// The Lua that Redis is given: every change of the rival is one call of `script`.
#pragma once

namespace once::bench {

// ARGV: what to do, then its arguments. Times come from the caller, as in the other rivals.
inline constexpr const char* script = R"(
local what = ARGV[1]
local function free(key, now)
  local kept = redis.call('HMGET', key, 'status', 'lease', 'expires', 'attempt')
  if not kept[1] then return true, 1 end
  local ends = kept[1] == '2' and kept[3] or kept[2]
  return tonumber(ends) <= tonumber(now), tonumber(kept[4]) + 1
end
local function reserve(key, now, lease, expires, owner)
  local is_free, attempt = free(key, now)
  if not is_free then return false end
  local token = redis.call('INCR', 'token')
  redis.call('HSET', key, 'status', 1, 'lease', lease, 'expires', expires, 'token', token,
             'attempt', attempt, 'owner', owner)
  redis.call('PEXPIREAT', key, expires)
  return token
end
local function finish(key, now, expires, owner, outcome)
  local is_free, attempt = free(key, now)
  if not is_free then return redis.error_reply('taken') end
  redis.call('HSET', key, 'status', 2, 'lease', now, 'expires', expires,
             'token', redis.call('INCR', 'token'), 'attempt', attempt, 'owner', owner,
             'outcome', outcome)
  redis.call('PEXPIREAT', key, expires)
end
if what == 'reserve' then
  return reserve(KEYS[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]) or redis.error_reply('taken')
elseif what == 'complete' then
  local kept = redis.call('HMGET', KEYS[1], 'status', 'token')
  if kept[1] ~= '1' or kept[2] ~= ARGV[2] then return redis.error_reply('fenced') end
  redis.call('HSET', KEYS[1], 'status', 2, 'expires', ARGV[3], 'outcome', ARGV[4])
  redis.call('PEXPIREAT', KEYS[1], ARGV[3])
  return 1
elseif what == 'transact' then
  local failed = finish(KEYS[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
  if failed then return failed end
  return redis.call('INCR', 'count')
elseif what == 'fill' then
  for i, key in ipairs(KEYS) do
    local failed = finish(key, ARGV[2], ARGV[3], ARGV[4], ARGV[4 + i])
    if failed then return failed end
  end
  return #KEYS
elseif what == 'publish' then
  local failed = finish(KEYS[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
  if failed then return failed end
  return redis.call('RPUSH', 'events', ARGV[6])
else
  local answers = {}
  for i, key in ipairs(KEYS) do
    if reserve(key, ARGV[2], ARGV[3], ARGV[4], ARGV[5]) then
      answers[i] = ''
    else
      answers[i] = redis.call('HGET', key, 'outcome') or redis.error_reply('taken')
    end
  end
  return answers
end
)";

// How many keys of a part of all are finished, and where the next part begins.
inline constexpr const char* counting = R"(
local some = redis.call('SCAN', ARGV[1], 'COUNT', 1000, 'TYPE', 'hash')
local finished = 0
for _, key in ipairs(some[2]) do
  if redis.call('HGET', key, 'status') == '2' then finished = finished + 1 end
end
return {some[1], finished}
)";

}  // namespace once::bench
