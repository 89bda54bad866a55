%% Plays supervision scenarios on Erlang's own supervisor.
%%
%% Reads batches from a file, one term each:
%%   {digest | traces, Tree, {all, Alphabet, Length} | {only, [Sequence]}}
%% and prints for each batch either the MD5 of all its traces or the traces themselves, a line for each.
%% A trace is a list of steps joined by ";", a step a list of words joined by " ".
-module(reference).
-behaviour(supervisor).
-export([main/1, init/1, start/1]).

main([File]) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    ets:new(steps, [named_table, public, ordered_set]),
    ets:new(outcomes, [named_table, public]),
    {ok, Batches} = file:consult(File),
    lists:foreach(fun batch/1, Batches),
    halt(0).

batch({traces, Tree, Sequences}) ->
    each(Sequences, fun(Events) -> io:put_chars([play(Tree, Events), $\n]) end);
batch({digest, Tree, Sequences}) ->
    put(md5, erlang:md5_init()),
    each(Sequences, fun(Events) -> put(md5, erlang:md5_update(get(md5), [play(Tree, Events), $\n])) end),
    io:format("~s~n", [binary:encode_hex(erlang:md5_final(get(md5)))]).

each({only, Sequences}, Do) -> lists:foreach(Do, Sequences);
each({all, Alphabet, Length}, Do) -> each(Alphabet, Length, [], Do).

each(_, 0, Events, Do) -> Do(lists:reverse(Events));
each(Alphabet, Length, Events, Do) ->
    Do(lists:reverse(Events)),
    lists:foreach(fun(Event) -> each(Alphabet, Length - 1, [Event | Events], Do) end, Alphabet).

play({Flags, Children}, Events) ->
    ets:delete_all_objects(steps),
    ets:delete_all_objects(outcomes),
    lists:foreach(fun learn/1, Children),
    case supervisor:start_link(?MODULE, {Flags, [spec(C) || C <- Children]}) of
        {ok, Supervisor} ->
            settle(Supervisor),
            lists:foreach(fun(Event) -> is_process_alive(Supervisor) andalso begin event(Event, Supervisor), settle(Supervisor) end end,
                          Events),
            case is_process_alive(Supervisor) of
                true ->
                    Ref = monitor(process, Supervisor),
                    unlink(Supervisor),
                    exit(Supervisor, shutdown),
                    receive {'DOWN', Ref, _, _, _} -> step([supervisor_stopped]) end;
                false -> ok
            end;
        {error, {shutdown, {failed_to_start_child, Id, _}}} ->
            receive {'EXIT', _, _} -> step([start_failed, Id]) end
    end,
    lists:join($;, [lists:join($\s, [word(W) || W <- Words]) || {_, Words} <- ets:tab2list(steps)]).

word(W) when is_atom(W) -> atom_to_list(W);
word(W) when is_integer(W) -> integer_to_list(W);
word({Id, What}) -> [word(Id), $=, word(What)].

step(Words) -> ets:insert(steps, {erlang:unique_integer([monotonic]), Words}).

%% ---- the supervisor and its children ----------------------------------------------------------

init({{Strategy, Intensity, AutoShutdown}, Specs}) ->
    {ok, {#{strategy => Strategy, intensity => Intensity, period => 3600, auto_shutdown => AutoShutdown}, Specs}}.

spec({Id, Restart, Significant, Shutdown, _}) ->
    #{id => Id, start => {?MODULE, start, [Id]}, restart => Restart, significant => Significant, shutdown => Shutdown}.

learn({Id, _, _, _, Outcomes}) -> ets:insert_new(outcomes, {Id, Outcomes}).

start(Id) ->
    [{_, [Outcome | Later]}] = ets:lookup(outcomes, Id),
    Later =:= [] orelse ets:insert(outcomes, {Id, Later}),
    case Outcome of
        ok ->
            step([started, Id]),
            Supervisor = self(),
            Pid = spawn_link(fun() -> process_flag(trap_exit, true), Supervisor ! {self(), up}, live(Id, Supervisor) end),
            receive {Pid, up} -> {ok, Pid} end;
        error -> step([start_failed, Id]), {error, refused};
        ignore -> step([ignored, Id]), ignore
    end.

live(Id, Supervisor) ->
    receive
        {'EXIT', Supervisor, Reason} -> step([stopped, Id]), exit(Reason);
        {exit, Reason} -> exit(Reason)
    end.

%% ---- events ------------------------------------------------------------------------------------

event({exit, Id, Reason}, Supervisor) ->
    case lists:keyfind(Id, 1, supervisor:which_children(Supervisor)) of
        {_, Pid, _, _} when is_pid(Pid) ->
            step([exited, Id, Reason]),
            Ref = monitor(process, Pid),
            case Reason of killed -> exit(Pid, kill); _ -> Pid ! {exit, Reason} end,
            receive {'DOWN', Ref, _, _, _} -> ok end;
        _ -> step([no_such_child, Id])
    end;
event({start_child, Child}, Supervisor) ->
    learn(Child),
    step([start_child, element(1, Child), answer(supervisor:start_child(Supervisor, spec(Child)))]);
event({Call, Id}, Supervisor) ->
    step([Call, Id, answer(supervisor:Call(Supervisor, Id))]);
event(which_children, Supervisor) ->
    step([which_children | [{Id, if is_pid(P) -> running; true -> P end} || {Id, P, _, _} <- lists:reverse(supervisor:which_children(Supervisor))]]);
event(count_children, Supervisor) ->
    Counts = supervisor:count_children(Supervisor),
    step([count_children, proplists:get_value(specs, Counts), proplists:get_value(active, Counts)]).

answer(ok) -> ok;
answer({ok, _}) -> ok;
answer({error, {already_started, _}}) -> already_started;
answer({error, Reason}) when is_atom(Reason) -> Reason;
answer({error, _}) -> refused.

%% A question to the supervisor is answered after what was in its mailbox; a restart that failed is tried again by a message
%% to itself, so questions are asked until two in a row find nothing new.
settle(Supervisor) -> settle(Supervisor, -1, 0).

settle(_, _, 2) -> ok;
settle(Supervisor, Before, Quiet) ->
    try supervisor:which_children(Supervisor) of
        _ ->
            case ets:info(steps, size) of
                Before -> settle(Supervisor, Before, Quiet + 1);
                Now -> settle(Supervisor, Now, 0)
            end
    catch exit:_ ->
            receive {'EXIT', Supervisor, shutdown} -> step([supervisor_exited, shutdown]) end
    end.
