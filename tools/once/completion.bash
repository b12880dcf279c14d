# bash completion for once(1): subcommands, their options, the words that options take, and keys.

# bash breaks words at the characters of COMP_WORDBREAKS, among them ':' and '='; keys hold both.
# Puts the words together again into `words`, with the place of each one's first piece in `pieces`;
# `cword` is the current one. Pieces belong together when no space stands between them in COMP_LINE.
_once_join_words() {
  local line=$COMP_LINE piece breaks last="" i
  breaks=${COMP_WORDBREAKS//[^:=]/}
  words=() pieces=() cword=0
  for ((i = 0; i < ${#COMP_WORDS[@]}; i++)); do
    piece=${COMP_WORDS[i]}
    if [[ $i -gt 0 && -n $breaks && -n $COMP_LINE && $line != [[:space:]]* ]] &&
      [[ $piece == ["$breaks"]* || $last == *["$breaks"] ]]; then
      words[-1]+=$piece
    else
      words+=("$piece")
      pieces+=("$i")
    fi
    line=${line#*"$piece"}
    last=$piece
    [[ $i == "$COMP_CWORD" ]] && cword=$((${#words[@]} - 1))
  done
}

# bash replaces only the piece at the cursor: takes what stands before it off the answers.
_once_strip_answers() {
  local piece=${COMP_WORDS[COMP_CWORD]} before i
  [[ -z ${piece//[:=]/} ]] && piece=""
  piece=${piece#[\'\"]}
  before=${cur%"$piece"}
  [[ -z $before ]] && return
  for i in "${!COMPREPLY[@]}"; do
    COMPREPLY[i]=${COMPREPLY[i]#"$before"}
  done
}

# Keys of the store that begin with the current word, at most a hundred.
_once_keys() {
  local key
  while IFS= read -r key; do
    COMPREPLY+=("$key")
  done < <("${COMP_WORDS[0]}" ls "$1" -- "$cur" 2>/dev/null | head -n 100)
}

# The same of runs of workflows.
_once_runs() {
  local key
  while IFS= read -r key; do
    [[ $key == "$cur"* ]] && COMPREPLY+=("$key")
  done < <("${COMP_WORDS[0]}" workflow ls "$1" 2>/dev/null | head -n 1000)
}

_once() {
  local words pieces cword cur previous
  local foreign=""  # the answers were made by the completion of another command
  _once_join_words
  cur=${words[cword]} previous=${words[cword - 1]}
  # --key=a:b is the same as --key a:b.
  [[ $cur == --*=* ]] && { previous=${cur%%=*} cur=${cur#*=}; }
  cur=${cur#[\'\"]}  # bash puts it back
  _once_complete
  [[ -n $foreign ]] || _once_strip_answers
}

_once_complete() {
  local subcommands="run lock get ls log events outbox stats top transaction dump load resolve rm"
  subcommands+=" sweep compact verify backup salvage workflow key"
  local subcommand="" store="" second="" options="--json --help" word i position=0
  COMPREPLY=()

  # The subcommand, and how many arguments stand between it and the cursor.
  for ((i = 1; i < cword; i++)); do
    word=${words[i]}
    case $word in
      --) [[ $subcommand == run || $subcommand == lock ]] && {
        _once_command "${pieces[i + 1]}"
        return
      } ;;
      --json | --help | --follow | -f | --no-fingerprint | --reject | --refresh | --once | --skip-dead | --no-sync | --all-dead | --unfinished | --allow-network-file-system) ;;
      --*=*) ;;
      -*) ((i++)) ;;
      *)
        if [[ -z $subcommand ]]; then
          subcommand=$word
        else
          ((position++))
          [[ $position == 1 ]] && store=$word
          [[ $position == 2 ]] && second=$word
        fi
        ;;
    esac
  done

  case $previous in
    --status)
      if [[ $subcommand == outbox ]]; then
        mapfile -t COMPREPLY < <(compgen -W "pending dead delivered all" -- "$cur")
      elif [[ $subcommand == events ]]; then
        mapfile -t COMPREPLY < <(compgen -W "pending delivered dead" -- "$cur")
      else
        local statuses="in-progress completed failed in-doubt released"
        [[ $subcommand == ls ]] && statuses+=" expired"
        mapfile -t COMPREPLY < <(compgen -W "$statuses" -- "$cur")
      fi
      return
      ;;
    --table)
      mapfile -t COMPREPLY < <(
        compgen -W "keys results checkpoints outbox history data all" -- "$cur"
      )
      return
      ;;
    --format)
      [[ $subcommand == key ]] && {
        mapfile -t COMPREPLY < <(compgen -W "given smith operation hybrid uuid" -- "$cur")
        return
      }
      mapfile -t COMPREPLY < <(compgen -W "table json jsonl" -- "$cur")
      return
      ;;
    --damaged-log) mapfile -t COMPREPLY < <(compgen -W "refuse keep-prefix" -- "$cur"); return ;;
    --layout) mapfile -t COMPREPLY < <(compgen -W "file directory" -- "$cur"); return ;;
    --by) mapfile -t COMPREPLY < <(compgen -W "tenant operation both" -- "$cur"); return ;;
    --sort)
      mapfile -t COMPREPLY < <(
        compgen -W "name active in-progress done failed in-doubt bytes" -- "$cur"
      )
      return
      ;;
    --interval | --poll) mapfile -t COMPREPLY < <(compgen -W "500ms 1s 2s 10s" -- "$cur"); return ;;
    --as) mapfile -t COMPREPLY < <(compgen -W "success failure rerun" -- "$cur"); return ;;
    --on-crash) mapfile -t COMPREPLY < <(compgen -W "rerun in-doubt" -- "$cur"); return ;;
    --mode) mapfile -t COMPREPLY < <(compgen -W "structured binary" -- "$cur"); return ;;
    --ttl | --lease | --wait | --keep-failures | --initial | --max | --keep | --timeout | --kill-after)
      mapfile -t COMPREPLY < <(compgen -W "30s 5m 1h 24h 7d forever" -- "$cur")
      return
      ;;
    --value | --from | --to | --secret-file)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      return
      ;;
    --key) [[ -n $store ]] && _once_keys "$store"; return ;;
    --tenant | --operation | --code | --message | --name) return ;;
    --header | --source | --jitter | --multiplier | --max-retries | --batch | --at-once) return ;;
    --field | --include | --exclude | --prefix | --user | --organisation) return ;;
    --episode | --step) return ;;
  esac

  case $subcommand in
    "")
      mapfile -t COMPREPLY < <(compgen -W "$subcommands --json --help --version" -- "$cur")
      return
      ;;
    run)
      options+=" --key --tenant --operation --ttl --lease --wait --on-crash --keep-failures"
      options+=" --timeout --kill-after --no-fingerprint --field --reject --refresh --layout"
      ;;
    lock) options+=" --lease --wait --layout" ;;
    ls | events) options+=" --status" ;;
    outbox)
      [[ $position == 0 ]] && options+=" ls relay retry drop"
      case $store in
        ls) options+=" --status" ;;
        retry) options+=" --all-dead" ;;
        drop) options+=" --sequence" ;;
        relay)
          options+=" --to --once --initial --max --multiplier --jitter --max-retries --skip-dead"
          options+=" --keep --poll --batch --at-once --mode --source --header --secret-file --timeout --no-sync"
          ;;
      esac
      ;;
    log) options+=" --key --follow" ;;
    stats) options+=" --by" ;;
    top) options+=" --interval --count --by --sort" ;;
    transaction)
      [[ $position == 0 ]] && options+=" ls show"
      [[ $store == ls ]] && options+=" --unfinished"
      ;;
    dump) options+=" --table --format --damaged-log" ;;
    load) options+=" --from --layout" ;;
    backup | salvage) options+=" --layout" ;;
    rm) options+=" --force" ;;
    resolve) options+=" --as --value --code --message" ;;
    workflow)
      [[ $position == 0 ]] && options+=" ls show"
      [[ $position -gt 0 ]] && options+=" --name --tenant"
      [[ $store == ls ]] && options+=" --status"
      ;;
    key)
      [[ $position == 0 ]] && options+=" content operation smith intent uuid check"
      [[ $position != 0 && $store != check ]] && options+=" --tenant --operation"
      case $store in
        content) options+=" --include --exclude --prefix" ;;
        operation) options+=" --include --exclude --user --organisation" ;;
        intent) options+=" --episode --step" ;;
        check) options+=" --format" ;;
      esac
      ;;
  esac

  [[ $subcommand == key ]] || options+=" --allow-network-file-system"

  if [[ $cur == -* || ($subcommand =~ ^(key|outbox|workflow|transaction)$ && $position == 0) ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
  elif [[ $position == 0 || ($subcommand =~ ^(backup|salvage)$ && $position == 1) ||
    ($subcommand == key && $store =~ ^(content|operation)$) ||
    ($subcommand =~ ^(outbox|workflow|transaction)$ && $position == 1) ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  elif [[ $position == 1 && $subcommand =~ ^(get|ls|resolve|rm)$ ]]; then
    _once_keys "$store"
  elif [[ $position == 2 && $subcommand == workflow && $store == show ]]; then
    _once_runs "$second"
  elif [[ $position == 2 && $subcommand == transaction && $store == show ]]; then
    _once_keys "$second"
  fi
}

# Completes a command that stands after --, as it is completed by itself.
_once_command() {
  if declare -F _command_offset >/dev/null; then
    _command_offset "$1"
    foreign=yes
  elif [[ $COMP_CWORD == "$1" ]]; then
    mapfile -t COMPREPLY < <(compgen -c -- "$cur")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  fi
}

complete -F _once once
