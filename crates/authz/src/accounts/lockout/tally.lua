-- One tally of wrong attempts, for all replicas: the rules are those of `Tally` in lockout.rs.
-- KEYS: the tally, a hash; its turns, a sorted set of numbers by the second at which each ends by
-- itself. ARGV: what to do, now, attempts, window, longest lock, forgiven after, life of a turn,
-- number of the turn (or 0), when the attempt began. All times are whole seconds.
-- Answer: {0, seconds locked}, {1, 0} no turn free, or {2, turn, wrong so far, seconds locked now}.
local tally, turns = KEYS[1], KEYS[2]
local n = {}
for i, text in ipairs(ARGV) do n[i] = tonumber(text) end
local verb, now, attempts, window, longest, forgiven, turn_life, turn, began_turn = unpack(n)
local TAKE, RIGHT, WRONG, UNKNOWN, COUNT, LOOK = 0, 1, 2, 3, 4, 5

local kept = redis.call('HMGET', tally, 'wrong', 'began', 'locked', 'locks')
local wrong, locks = tonumber(kept[1] or 0), tonumber(kept[4] or 0)
local began, locked = tonumber(kept[2] or -1), tonumber(kept[3] or -1)

local function keep()
  redis.call('HSET', tally, 'wrong', wrong, 'began', began, 'locked', locked, 'locks', locks)
  local life = math.max(window, longest) + forgiven
  redis.call('EXPIRE', tally, life)
  redis.call('EXPIRE', turns, life)
end

local function count(at)
  wrong = wrong + 1
  if wrong >= attempts then
    locked = at + math.max(1, math.min(window * 2 ^ math.min(locks, 31), math.max(window, longest)))
    locks = locks + 1
  end
  keep()
  return locked - now
end

if verb == RIGHT or verb == WRONG or verb == UNKNOWN then
  redis.call('ZREM', turns, turn)
  if verb == RIGHT then
    wrong, locks, locked = 0, 0, -1
    if redis.call('ZCARD', turns) == 0 then redis.call('DEL', tally, turns) else keep() end
  elseif verb == WRONG then
    count(began_turn)
  end
  return {2, 0, wrong, 0}
end

if locked >= 0 then
  if now < locked then return {0, locked - now} end
  if now - locked >= forgiven then locks = 0 end
  locked, began = -1, -1
end
if began < 0 or now - began >= window then began, wrong = now, 0 end
if verb == LOOK then return {2, 0, wrong, 0} end
if verb == COUNT then return {2, 0, wrong, math.max(0, count(now))} end

redis.call('ZREMRANGEBYSCORE', turns, '-inf', now)
if wrong + redis.call('ZCARD', turns) >= attempts then return {1, 0} end
turn = redis.call('HINCRBY', tally, 'turn', 1)
redis.call('ZADD', turns, now + turn_life, turn)
keep()
return {2, turn, wrong, 0}
