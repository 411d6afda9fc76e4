-- A database of format 1, as the code of that time wrote it; nobody drives its runs.
BEGIN TRANSACTION;
CREATE TABLE inbox (               -- a message stays when it is consumed, so that its key is known if it comes again
    id      INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL REFERENCES runs (key),
    key     TEXT NOT NULL,
    kind    TEXT NOT NULL,
    payload TEXT,                  -- JSON; NULL once consumed
    UNIQUE (run, key)
) STRICT;
CREATE TABLE outlines (            -- what a graph looked like, once for each fingerprint
    fingerprint TEXT PRIMARY KEY,
    body        TEXT NOT NULL      -- JSON
) STRICT;
INSERT INTO "outlines" VALUES('dbdf4f10d0d842be','{"graph":"loop","version":1,"state":{"title":"str","draft":"str","score":"int | None","scores":"list[int]","cost":"float","facts":"dict[str, str]","notes":"list[str]","parts":"list[Part]","counted":"list[int]","style":"Literal[''short'', ''long'']","ok":"bool | None","errors":"list[Failure]"},"nodes":[{"name":"write","kind":"function","writes":["draft"]},{"name":"review","kind":"function","writes":["score","scores"]}],"ways":[{"from":"START","to":"write"},{"from":"write","to":"review"},{"from":"review","to":"END","when":"score >= 30","label":"approved"},{"from":"review","to":"END","when":"score no longer improves","label":"no longer improving"},{"from":"review","to":"END","when":"iterations of review >= 9","label":"out of iterations"},{"from":"review","to":"write"}]}');
INSERT INTO "outlines" VALUES('f5434ea4adbe66d8','{"graph":"fork","version":1,"state":{"title":"str","draft":"str","score":"int | None","scores":"list[int]","cost":"float","facts":"dict[str, str]","notes":"list[str]","parts":"list[Part]","counted":"list[int]","style":"Literal[''short'', ''long'']","ok":"bool | None","errors":"list[Failure]"},"nodes":[{"name":"find","kind":"function","writes":["facts"]},{"name":"note","kind":"function","writes":["notes"]},{"name":"merge","kind":"function","writes":["notes"]}],"ways":[{"from":"START","arms":[{"to":"find"},{"to":"note","when":"title != ''''"}],"join":"merge"},{"from":"find","to":"merge"},{"from":"note","to":"merge"},{"from":"merge","to":"END"}]}');
INSERT INTO "outlines" VALUES('a417a7b4667a097f','{"graph":"choice","version":1,"state":{"title":"str","draft":"str","score":"int | None","scores":"list[int]","cost":"float","facts":"dict[str, str]","notes":"list[str]","parts":"list[Part]","counted":"list[int]","style":"Literal[''short'', ''long'']","ok":"bool | None","errors":"list[Failure]"},"nodes":[{"name":"write","kind":"function","writes":["draft"]},{"name":"edit","kind":"choose","writes":["draft"],"choices":["short","long"]}],"ways":[{"from":"START","to":"write"},{"from":"write","to":"edit"},{"from":"edit","on":"style","cases":{"short":"END","long":"edit"},"otherwise":null}]}');
INSERT INTO "outlines" VALUES('29325ddc7d1c1ecc','{"graph":"surviving","version":1,"state":{"title":"str","draft":"str","score":"int | None","scores":"list[int]","cost":"float","facts":"dict[str, str]","notes":"list[str]","parts":"list[Part]","counted":"list[int]","style":"Literal[''short'', ''long'']","ok":"bool | None","errors":"list[Failure]"},"nodes":[{"name":"fail","kind":"function","writes":["draft"]},{"name":"note","kind":"function","writes":["notes"]}],"ways":[{"from":"START","to":"fail"},{"from":"fail","to":"END"},{"from":"fail","to":"note","when":"failed with BadAnswer","label":"without a draft","failure":true},{"from":"note","to":"END"}]}');
INSERT INTO "outlines" VALUES('491b1e7353b33c70','{"graph":"limited","version":1,"state":{"title":"str","draft":"str","score":"int | None","scores":"list[int]","cost":"float","facts":"dict[str, str]","notes":"list[str]","parts":"list[Part]","counted":"list[int]","style":"Literal[''short'', ''long'']","ok":"bool | None","errors":"list[Failure]"},"nodes":[{"name":"note","kind":"function","writes":["notes"]}],"ways":[{"from":"START","to":"note"},{"from":"note","to":"END","when":"length of notes >= 5","label":"enough notes"},{"from":"note","to":"note"}]}');
CREATE TABLE owners (              -- one row for each open store that may drive runs
    id         TEXT PRIMARY KEY,
    host       TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    lock_file  TEXT NOT NULL,      -- a name in the folder of locks; '' where the file system has no locks
    expires_at REAL NOT NULL       -- epoch seconds
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (
    key         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    graph       TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status      TEXT NOT NULL,
    created_at  REAL NOT NULL,     -- epoch seconds
    parent      INTEGER REFERENCES runs (key),
    parent_seq  INTEGER NOT NULL,  -- the last step shared with the parent; 0 if none
    fence       INTEGER NOT NULL,  -- grows with every change of driver
    driver      TEXT               -- owners.id; NULL if nobody drives it
) STRICT;
INSERT INTO "runs" VALUES(1,'loop','loop','dbdf4f10d0d842be','finished',1800000000.001,NULL,0,1,NULL);
INSERT INTO "runs" VALUES(2,'fork','fork','f5434ea4adbe66d8','finished',1.8000000000139989853e+09,NULL,0,1,NULL);
INSERT INTO "runs" VALUES(3,'choice','choice','a417a7b4667a097f','finished',1.80000000002199840544e+09,NULL,0,1,NULL);
INSERT INTO "runs" VALUES(4,'surviving','surviving','29325ddc7d1c1ecc','finished',1.80000000002699804303e+09,NULL,0,1,NULL);
INSERT INTO "runs" VALUES(5,'limited','limited','491b1e7353b33c70','stopped',1.80000000003199768063e+09,NULL,0,1,NULL);
INSERT INTO "runs" VALUES(6,'branch','loop','dbdf4f10d0d842be','finished',1.80000000003999710085e+09,1,2,1,NULL);
INSERT INTO "runs" VALUES(7,'interrupted','fork','f5434ea4adbe66d8','running',1.80000000005099630362e+09,NULL,0,1,NULL);
CREATE TABLE snapshots (           -- the whole snapshot of a run after the step of the same id
    id   INTEGER PRIMARY KEY,      -- run << 32 | seq
    body TEXT NOT NULL,            -- JSON
    run  INTEGER AS (id >> 32),
    seq  INTEGER AS (id & 4294967295)
) STRICT;
CREATE TABLE steps (
    id   INTEGER PRIMARY KEY,      -- run << 32 | seq
    at   REAL NOT NULL,            -- epoch seconds
    body TEXT NOT NULL,            -- JSON
    run  INTEGER AS (id >> 32),
    seq  INTEGER AS (id & 4294967295)
) STRICT;
INSERT INTO "steps" VALUES(4294967297,1800000000.001,'{"kind":"started","at":1800000000.001,"update":[["set","title","Ants"],["set","draft",""],["set","score",null],["set","scores",[]],["set","cost",0.0],["set","facts",{}],["set","notes",[]],["set","parts",[{"name":"legs","words":6},{"name":"eyes","words":0},{"name":"wings","words":4}]],["set","counted",[]],["set","style","short"],["set","ok",null],["set","errors",[]]],"data":{"run_id":"loop","graph":"loop","version":1,"fingerprint":"dbdf4f10d0d842be","limits":{"steps":1000},"to":["write"],"why":"otherwise"}}');
INSERT INTO "steps" VALUES(4294967298,1.80000000000299978254e+09,'{"kind":"node","at":1800000000.0029998,"node":"write","visit":1,"attempt":1,"began":1800000000.0019999,"update":[["set","draft","Ants, "]],"data":{"to":["review"],"why":"otherwise"}}');
INSERT INTO "steps" VALUES(4294967299,1.80000000000499963759e+09,'{"kind":"node","at":1800000000.0049996,"node":"review","visit":1,"attempt":1,"began":1800000000.0039997,"update":[["set","score",6],["append","scores",6]],"data":{"to":["write"],"why":"score 6 >= 30: no; score 6, the best so far: no; iterations of review 1 >= 9: no; otherwise","marks":{"plateau:score:max:0.0:":[6,6,0]}}}');
INSERT INTO "steps" VALUES(4294967300,1.80000000000699949265e+09,'{"kind":"node","at":1800000000.0069995,"node":"write","visit":2,"attempt":1,"began":1800000000.0059996,"update":[["set","draft","Ants, and more "]],"data":{"to":["review"],"why":"otherwise"}}');
INSERT INTO "steps" VALUES(4294967301,1.80000000000899934762e+09,'{"kind":"node","at":1800000000.0089993,"node":"review","visit":2,"attempt":1,"began":1800000000.0079994,"update":[["set","score",14],["append","scores",14]],"data":{"to":["write"],"why":"score 14 >= 30: no; score 14, the best so far: no; iterations of review 2 >= 9: no; otherwise","marks":{"plateau:score:max:0.0:":[14,14,0]}}}');
INSERT INTO "steps" VALUES(4294967302,1.80000000001099920267e+09,'{"kind":"node","at":1800000000.0109992,"node":"write","visit":3,"attempt":1,"began":1800000000.0099993,"update":[["set","draft","Ants, and more and more "]],"data":{"to":["review"],"why":"otherwise"}}');
INSERT INTO "steps" VALUES(4294967303,1.80000000001299905773e+09,'{"kind":"node","at":1800000000.012999,"node":"review","visit":3,"attempt":1,"began":1800000000.0119991,"update":[["set","score",14],["append","scores",14]],"data":{"to":["END"],"why":"score 14 >= 30: no; score 14 after a best of 14, 1 of 1 without gain: yes","edge":"no longer improving","status":"finished","stop":{"reason":"end","label":"no longer improving","condition":"score no longer improves","explanation":"score 14 >= 30: no; score 14 after a best of 14, 1 of 1 without gain: yes"},"marks":{"plateau:score:max:0.0:":[14,14,1]}}}');
INSERT INTO "steps" VALUES(8589934593,1.8000000000139989853e+09,'{"kind":"started","at":1800000000.013999,"update":[["set","title","Ants"],["set","draft",""],["set","score",null],["set","scores",[]],["set","cost",0.0],["set","facts",{}],["set","notes",[]],["set","parts",[{"name":"legs","words":6},{"name":"eyes","words":0},{"name":"wings","words":4}]],["set","counted",[]],["set","style","short"],["set","ok",null],["set","errors",[]]],"data":{"run_id":"fork","graph":"fork","version":1,"fingerprint":"f5434ea4adbe66d8","limits":{"steps":1000},"to":["find","note"],"why":"otherwise; note: title ''Ants'' != '''': yes","fork":{"join":"merge"}}}');
INSERT INTO "steps" VALUES(8589934594,1.80000000001599884036e+09,'{"kind":"node","at":1800000000.0159988,"frame":"~find","node":"find","visit":1,"attempt":1,"began":1800000000.014999,"update":[["merge","facts",{"legs":"Ants have six"}]],"data":{"to":["merge"],"why":"otherwise"}}');
INSERT INTO "steps" VALUES(8589934595,1.80000000001799869541e+09,'{"kind":"node","at":1800000000.0179987,"frame":"~note","node":"note","visit":1,"attempt":1,"began":1800000000.0169988,"update":[["append","notes","note on Ants"]],"data":{"to":["merge"],"why":"otherwise"}}');
INSERT INTO "steps" VALUES(8589934596,1.80000000001899862298e+09,'{"kind":"joined","at":1800000000.0189986,"node":"merge","update":[["merge","facts",{"legs":"Ants have six"}],["append","notes","note on Ants"]],"data":{"to":["merge"],"why":"2 of 2 arms arrived"}}');
INSERT INTO "steps" VALUES(8589934597,1.80000000002099847795e+09,'{"kind":"node","at":1800000000.0209985,"node":"merge","visit":1,"attempt":1,"began":1800000000.0199986,"update":[["append","notes","note on Ants"]],"data":{"to":["END"],"why":"otherwise","status":"finished","stop":{"reason":"end","label":"","condition":"","explanation":"otherwise"}}}');
INSERT INTO "steps" VALUES(12884901889,1.80000000002199840544e+09,'{"kind":"started","at":1800000000.0219984,"update":[["set","title","Ants"],["set","draft",""],["set","score",null],["set","scores",[]],["set","cost",0.0],["set","facts",{}],["set","notes",[]],["set","parts",[{"name":"legs","words":6},{"name":"eyes","words":0},{"name":"wings","words":4}]],["set","counted",[]],["set","style","short"],["set","ok",null],["set","errors",[]]],"data":{"run_id":"choice","graph":"choice","version":1,"fingerprint":"a417a7b4667a097f","limits":{"steps":1000},"to":["write"],"why":"otherwise"}}');
INSERT INTO "steps" VALUES(12884901890,1.80000000002399826049e+09,'{"kind":"node","at":1800000000.0239983,"node":"write","visit":1,"attempt":1,"began":1800000000.0229983,"update":[["set","draft","Ants, "]],"data":{"to":["edit"],"why":"otherwise"}}');
INSERT INTO "steps" VALUES(12884901891,1.80000000002599811546e+09,'{"kind":"node","at":1800000000.025998,"node":"edit","visit":1,"attempt":1,"began":1800000000.0249982,"update":[["set","draft","Ants,"]],"data":{"choice":"short","to":["END"],"why":"style is ''short''","edge":"short","status":"finished","stop":{"reason":"end","label":"short","condition":"style == ''short''","explanation":"style is ''short''"}}}');
INSERT INTO "steps" VALUES(17179869185,1.80000000002699804303e+09,'{"kind":"started","at":1800000000.026998,"update":[["set","title","Ants"],["set","draft",""],["set","score",null],["set","scores",[]],["set","cost",0.0],["set","facts",{}],["set","notes",[]],["set","parts",[{"name":"legs","words":6},{"name":"eyes","words":0},{"name":"wings","words":4}]],["set","counted",[]],["set","style","short"],["set","ok",null],["set","errors",[]]],"data":{"run_id":"surviving","graph":"surviving","version":1,"fingerprint":"29325ddc7d1c1ecc","limits":{"steps":1000},"to":["fail"],"why":"otherwise"}}');
INSERT INTO "steps" VALUES(17179869186,1.80000000002899789809e+09,'{"kind":"failed","at":1800000000.028998,"node":"fail","visit":1,"attempt":1,"began":1800000000.027998,"update":[["append","errors",{"path":"fail","kind":"bad_answer","message":"nothing on Ants","attempt":1}]],"data":{"to":["note"],"why":"failed with graphengine.errors.BadAnswer, failed with BadAnswer: yes","edge":"without a draft","error":{"path":"fail","kind":"bad_answer","message":"nothing on Ants","attempt":1,"where":"fail","repair":"give another title"}}}');
INSERT INTO "steps" VALUES(17179869187,1.80000000003099775314e+09,'{"kind":"node","at":1800000000.0309978,"node":"note","visit":1,"attempt":1,"began":1800000000.0299978,"update":[["append","notes","note on Ants"]],"data":{"to":["END"],"why":"otherwise","status":"finished","stop":{"reason":"end","label":"","condition":"","explanation":"otherwise"}}}');
INSERT INTO "steps" VALUES(21474836481,1.80000000003199768063e+09,'{"kind":"started","at":1800000000.0319977,"update":[["set","title","Ants"],["set","draft",""],["set","score",null],["set","scores",[]],["set","cost",0.0],["set","facts",{}],["set","notes",[]],["set","parts",[{"name":"legs","words":6},{"name":"eyes","words":0},{"name":"wings","words":4}]],["set","counted",[]],["set","style","short"],["set","ok",null],["set","errors",[]]],"data":{"run_id":"limited","graph":"limited","version":1,"fingerprint":"491b1e7353b33c70","limits":{"steps":3},"to":["note"],"why":"otherwise"}}');
INSERT INTO "steps" VALUES(21474836482,1.80000000003399753577e+09,'{"kind":"node","at":1800000000.0339975,"node":"note","visit":1,"attempt":1,"began":1800000000.0329976,"update":[["append","notes","note on Ants"]],"data":{"to":["note"],"why":"length of notes 1 >= 5: no; otherwise"}}');
INSERT INTO "steps" VALUES(21474836483,1.80000000003599739083e+09,'{"kind":"node","at":1800000000.0359974,"node":"note","visit":2,"attempt":1,"began":1800000000.0349975,"update":[["append","notes","note on Ants"]],"data":{"to":["note"],"why":"length of notes 2 >= 5: no; otherwise"}}');
INSERT INTO "steps" VALUES(21474836484,1.8000000000379972458e+09,'{"kind":"node","at":1800000000.0379972,"node":"note","visit":3,"attempt":1,"began":1800000000.0369973,"update":[["append","notes","note on Ants"]],"data":{"to":["note"],"why":"length of notes 3 >= 5: no; otherwise"}}');
INSERT INTO "steps" VALUES(21474836485,1.80000000003899717328e+09,'{"kind":"stopped","at":1800000000.0389972,"data":{"status":"stopped","stop":{"reason":"limit","label":"","condition":"","explanation":"steps 3 >= 3"}}}');
INSERT INTO "steps" VALUES(25769803779,1.80000000003999710085e+09,'{"kind":"branched","at":1800000000.039997,"update":[["set","title","Bees"]],"data":{"run_id":"branch","parent":"loop","limits":{"steps":1000},"fingerprint":"dbdf4f10d0d842be"}}');
INSERT INTO "steps" VALUES(25769803780,1.80000000004199695591e+09,'{"kind":"node","at":1800000000.041997,"node":"review","visit":1,"attempt":1,"began":1800000000.040997,"update":[["set","score",6],["append","scores",6]],"data":{"to":["write"],"why":"score 6 >= 30: no; score 6, the best so far: no; iterations of review 1 >= 9: no; otherwise","marks":{"plateau:score:max:0.0:":[6,6,0]}}}');
INSERT INTO "steps" VALUES(25769803781,1.80000000004399681088e+09,'{"kind":"node","at":1800000000.0439968,"node":"write","visit":2,"attempt":1,"began":1800000000.042997,"update":[["set","draft","Bees, and more "]],"data":{"to":["review"],"why":"otherwise"}}');
INSERT INTO "steps" VALUES(25769803782,1.80000000004599666593e+09,'{"kind":"node","at":1800000000.0459967,"node":"review","visit":2,"attempt":1,"began":1800000000.0449967,"update":[["set","score",14],["append","scores",14]],"data":{"to":["write"],"why":"score 14 >= 30: no; score 14, the best so far: no; iterations of review 2 >= 9: no; otherwise","marks":{"plateau:score:max:0.0:":[14,14,0]}}}');
INSERT INTO "steps" VALUES(25769803783,1.80000000004799652099e+09,'{"kind":"node","at":1800000000.0479965,"node":"write","visit":3,"attempt":1,"began":1800000000.0469966,"update":[["set","draft","Bees, and more and more "]],"data":{"to":["review"],"why":"otherwise"}}');
INSERT INTO "steps" VALUES(25769803784,1.80000000004999637604e+09,'{"kind":"node","at":1800000000.0499964,"node":"review","visit":3,"attempt":1,"began":1800000000.0489964,"update":[["set","score",14],["append","scores",14]],"data":{"to":["END"],"why":"score 14 >= 30: no; score 14 after a best of 14, 1 of 1 without gain: yes","edge":"no longer improving","status":"finished","stop":{"reason":"end","label":"no longer improving","condition":"score no longer improves","explanation":"score 14 >= 30: no; score 14 after a best of 14, 1 of 1 without gain: yes"},"marks":{"plateau:score:max:0.0:":[14,14,1]}}}');
INSERT INTO "steps" VALUES(30064771073,1.80000000005099630362e+09,'{"kind":"started","at":1800000000.0509963,"update":[["set","title","Ants"],["set","draft",""],["set","score",null],["set","scores",[]],["set","cost",0.0],["set","facts",{}],["set","notes",[]],["set","parts",[{"name":"legs","words":6},{"name":"eyes","words":0},{"name":"wings","words":4}]],["set","counted",[]],["set","style","short"],["set","ok",null],["set","errors",[]]],"data":{"run_id":"interrupted","graph":"fork","version":1,"fingerprint":"f5434ea4adbe66d8","limits":{"steps":1000},"to":["find","note"],"why":"otherwise; note: title ''Ants'' != '''': yes","fork":{"join":"merge"}}}');
INSERT INTO "steps" VALUES(30064771074,1.80000000005299615867e+09,'{"kind":"node","at":1800000000.0529962,"frame":"~find","node":"find","visit":1,"attempt":1,"began":1800000000.0519962,"update":[["merge","facts",{"legs":"Ants have six"}]],"data":{"to":["merge"],"why":"otherwise"}}');
INSERT INTO "steps" VALUES(30064771075,1.80000000005499601364e+09,'{"kind":"node","at":1800000000.054996,"frame":"~note","node":"note","visit":1,"attempt":1,"began":1800000000.053996,"update":[["append","notes","note on Ants"]],"data":{"to":["merge"],"why":"otherwise"}}');
CREATE INDEX runs_by_time ON runs (created_at, id);
CREATE INDEX runs_by_status ON runs (status, created_at, id);
CREATE INDEX runs_by_graph ON runs (graph, created_at, id, status);
CREATE INDEX runs_by_driver ON runs (driver) WHERE driver IS NOT NULL;
CREATE INDEX inbox_waiting ON inbox (run, id) WHERE payload IS NOT NULL;
CREATE VIEW run_facts AS           -- what a store tells of a run without reading its log
SELECT r.key, r.id, r.graph, r.fingerprint, r.status,
       coalesce(last.id & 4294967295, r.parent_seq) AS seq,
       r.created_at,
       coalesce(last.at, r.created_at) AS updated_at,
       (SELECT p.id FROM runs AS p WHERE p.key = r.parent) AS parent,
       r.parent_seq, r.driver, r.fence,
       (SELECT o.expires_at FROM owners AS o WHERE o.id = r.driver) AS driven_until
FROM runs AS r
LEFT JOIN steps AS last ON last.id = (
    SELECT s.id FROM steps AS s
    WHERE s.id > r.key << 32 AND s.id < (r.key + 1) << 32
    ORDER BY s.id DESC LIMIT 1
);
COMMIT;
PRAGMA application_id = 1198678343;
PRAGMA user_version = 1;
