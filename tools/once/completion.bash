# bash completion for once(1): subcommands, their options, the words that options take, and keys.

# Keys of the store that begin with the current word, at most a hundred.
_once_keys() {
  local key
  while IFS= read -r key; do
    COMPREPLY+=("$key")
  done < <("${COMP_WORDS[0]}" ls "$1" -- "$cur" 2>/dev/null | head -n 100)
}

_once() {
  local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local subcommands="run lock get ls log events stats dump load resolve rm sweep verify backup key"
  local subcommand="" store="" options="--json --help" word i position=0
  COMPREPLY=()

  # The subcommand, and how many arguments stand between it and the cursor.
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      --) [[ $subcommand == run || $subcommand == lock ]] && { _once_command "$((i + 1))"; return; } ;;
      --json | --help | --follow | -f | --no-fingerprint) ;;
      -*) ((i++)) ;;
      *)
        if [[ -z $subcommand ]]; then
          subcommand=$word
        else
          ((position++))
          [[ $position == 1 ]] && store=$word
        fi
        ;;
    esac
  done

  case $previous in
    --status)
      if [[ $subcommand == events ]]; then
        mapfile -t COMPREPLY < <(compgen -W "pending delivered dead" -- "$cur")
      else
        mapfile -t COMPREPLY < <(
          compgen -W "in-progress completed failed in-doubt released" -- "$cur"
        )
      fi
      return
      ;;
    --table)
      mapfile -t COMPREPLY < <(
        compgen -W "keys results checkpoints outbox history data all" -- "$cur"
      )
      return
      ;;
    --format) mapfile -t COMPREPLY < <(compgen -W "table json jsonl" -- "$cur"); return ;;
    --damaged-log) mapfile -t COMPREPLY < <(compgen -W "refuse keep-prefix" -- "$cur"); return ;;
    --as) mapfile -t COMPREPLY < <(compgen -W "success failure rerun" -- "$cur"); return ;;
    --on-crash) mapfile -t COMPREPLY < <(compgen -W "rerun in-doubt" -- "$cur"); return ;;
    --ttl | --lease | --wait | --keep-failures)
      mapfile -t COMPREPLY < <(compgen -W "30s 5m 1h 24h 7d forever" -- "$cur")
      return
      ;;
    --value | --from)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      return
      ;;
    --key) [[ -n $store ]] && _once_keys "$store"; return ;;
    --tenant | --operation | --exclude | --code | --message) return ;;
  esac

  case $subcommand in
    "")
      mapfile -t COMPREPLY < <(compgen -W "$subcommands --json --help --version" -- "$cur")
      return
      ;;
    run)
      options+=" --key --tenant --operation --ttl --lease --wait --on-crash --keep-failures"
      options+=" --no-fingerprint"
      ;;
    lock) options+=" --lease --wait" ;;
    ls | events) options+=" --status" ;;
    log) options+=" --key --follow" ;;
    dump) options+=" --table --format --damaged-log" ;;
    load) options+=" --from" ;;
    resolve) options+=" --as --value --code --message" ;;
    key)
      [[ $position == 0 ]] && options+=" smith content"
      [[ $store == content ]] && options+=" --exclude"
      ;;
  esac

  if [[ $cur == -* || ($subcommand == key && $position == 0) ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
  elif [[ $position == 0 || ($subcommand == backup && $position == 1) ||
    ($subcommand == key && $store == content) ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  elif [[ $position == 1 && $subcommand =~ ^(get|ls|resolve|rm)$ ]]; then
    _once_keys "$store"
  fi
}

# Completes a command that stands after --, as it is completed by itself.
_once_command() {
  if declare -F _command_offset >/dev/null; then
    _command_offset "$1"
  elif [[ $COMP_CWORD == "$1" ]]; then
    mapfile -t COMPREPLY < <(compgen -c -- "$cur")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  fi
}

complete -F _once once
